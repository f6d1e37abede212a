/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The maps, for both loaders: libbpf reads BTF definitions, bcc its own macros.
 *
 * No globals or rodata: bcc cannot load them. bcc rewrites map methods in the main file
 * only, so the three functions that look things up stand at the top of tap.bpf.c. */
#ifndef SHADOW_AGENT_MAPS_H
#define SHADOW_AGENT_MAPS_H

#include "record.h"

#ifdef SHADOW_AGENT_BCC

BPF_F_TABLE("array", u32, struct control, control, 1, BPF_F_MMAPABLE);
BPF_TABLE("percpu_array", u32, struct counters, counters, 1);
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
