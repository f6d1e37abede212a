/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The maps, for both loaders: libbpf reads BTF definitions, bcc its own macros.
 *
 * No globals or rodata: bcc cannot load them. bcc rewrites map methods in the main file
 * only, so the functions that look things up stand at the top of tap.bpf.c. */
#ifndef SHADOW_AGENT_MAPS_H
#define SHADOW_AGENT_MAPS_H

#include "record.h"

/* A flow whose packets are copied or skipped by request; slots.h says what becomes of it. */
struct slot {
	__u64 tag;        /* the flow that holds it; 0: none yet */
	__u32 next[2];    /* by direction: where what was seen of it ends */
	__u32 ack;        /* of the request that was decided last */
	__u32 seen;       /* when a packet was copied last; 0: nobody needs the slot now */
	__u16 number[2];  /* by direction: packets that were to be copied */
	__u8 fate;        /* COPIED, or the counter under which its packets are skipped */
	__u8 bits;        /* enum slot_bit */
	__u8 epoch;       /* times that copying was left off */
	__u8 tenancy;     /* tells the flow's times in a slot apart */
};
_Static_assert(sizeof(struct slot) == 32, "two to a cache line");

#define SLOT_WAYS 4
/* 65,536 flows in 2 MiB. With 10,000 open, 3 in 1,000 find all four ways of their set held. */
#define SLOT_SETS 16384

struct slots {
	struct slot way[SLOT_WAYS];
};

#ifdef SHADOW_AGENT_BCC

BPF_F_TABLE("array", u32, struct control, control, 1, BPF_F_MMAPABLE);
BPF_TABLE("percpu_array", u32, struct counters, counters, 1);
BPF_TABLE("array", u32, struct slots, slots, SLOT_SETS);
BPF_RINGBUF_OUTPUT(ring_template, 1);
BPF_ARRAY_OF_MAPS(rings, "ring_template", SHARDS_MAX);

#define SECTION(name)

#else

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOT_SETS);
	__type(key, __u32);
	__type(value, struct slots);
} slots SEC(".maps");

/* Shape of one shard's ring; the real ones are made by user space, one per worker. */
struct ring_template {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SHARDS_MAX);
	__type(key, __u32);
	__array(values, struct ring_template);
} rings SEC(".maps");

#define SECTION(name) SEC(name)

#endif
#endif
