/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What crosses from the kernel to user space: the record, the control page and the counters.
 *
 * This file is the source of truth. agent/shadow_agent/kernel/layout.py mirrors it, and
 * tests/kernel/test_layout.py compiles it and compares every size, offset and value. */
#ifndef SHADOW_AGENT_RECORD_H
#define SHADOW_AGENT_RECORD_H

#include <linux/types.h>

/* Largest payload of one record; a longer packet is consecutive records. */
#define PIECE_MAX 16384
/* 40 x 16 KiB = 640 KiB: above the kernel's 512 KiB bound on BIG TCP packets. */
#define PIECES_MAX 40
#define SHARDS_MAX 16

enum role {
	ROLE_PRODUCTION = 0, /* the tapped service, payload copied */
	ROLE_SHADOW = 1,     /* our own connections to the shadow, headers only */
	ROLES = 2,
};

enum direction {
	DIRECTION_REQUEST = 0,  /* towards the service (or the shadow) */
	DIRECTION_RESPONSE = 1, /* from it */
};

/* One TCP segment, or a piece of at most PIECE_MAX bytes of one; payload follows.
 *
 * The four address fields stand together and mean the same in both directions, so that
 * they are the flow's key as they lie: remote is the peer of this host's end. */
struct record {
	__u64 ts_ns; /* CLOCK_MONOTONIC, when the packet passed the hook */
	__u8 remote_addr[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u8 local_addr[16];
	__u8 remote_port[2]; /* network order */
	__u8 local_port[2];
	__u32 seq; /* of this piece's first byte, host order */
	__u32 ack;
	__u32 length;  /* payload of this piece on the wire */
	__u32 copied;  /* payload bytes that follow; 0 for ROLE_SHADOW */
	__u32 ifindex;
	__u32 number;  /* with slots, see NUMBER_EPOCH_SHIFT; 0 without */
	__u8 family;    /* 4 or 6 */
	__u8 tcp_flags; /* as in the TCP header */
	__u8 direction;
	__u8 role;
	__u8 final; /* 1 on the last piece of a packet: the one that is counted */
	__u8 pad;
	__u16 urgent; /* this piece's byte of that number, from 1, is urgent data; 0: none is */
	__u8 pad_end[4];
};
_Static_assert(sizeof(struct record) == 80, "record is 80 bytes");

/* With slots (slots.h), where packets are skipped on purpose in mid-flow, user space tells skipped
 * from lost by a record's number. From its lowest bit: the count of the packets of its flow and
 * direction that were to be copied, the one that found the ring full too (16 bits); how often the
 * flow was left since it has its slot (7 bits); whether a request starts here and no other is open
 * (1 bit); and a tag of when the flow got its slot (8 bits). */
#define NUMBER_EPOCH_SHIFT 16
#define NUMBER_EPOCHS 128
#define NUMBER_SURE (1 << 23)
#define NUMBER_TENANCY_SHIFT 24

#define PORT_WORDS 1024
/* Fraction bits of the budget's nanoseconds per byte: 1 is 1 TB/s. */
#define COST_SHIFT 10

/* Pages that user space writes and the programs read. */
struct control {
	__u64 lease_ns;    /* CLOCK_MONOTONIC of the agent's last heartbeat */
	__u64 lease_max_ns; /* older than this: the agent is dead or hangs, copy nothing */
	__u64 sample_below; /* a flow is mirrored when its 32-bit hash is below; 1<<32 is all */
	__u32 paused;      /* the off switch */
	__u32 tripped;     /* set here by the kernel: a packet of the shadow left towards clients */
	__u32 shards;
	__u32 salt;        /* of the flow hash: nobody outside can choose what is sampled */
	__u32 wake_bytes;  /* wake the reader each time a ring has taken this much; power of two */
	__u32 generation;  /* advances with each change of paused or sample_below */
	__u8 shadow_addr[16];
	__u8 shadow_port[2];
	__u8 guard; /* 1: count packets of shadow_addr on the client-facing egress */
	__u8 by_request; /* 1: what is copied is decided anew at each request's start (slots.h) */
	__u8 pad[4];
	__u64 budget_cost;     /* ns that a byte takes of the byte budget << COST_SHIFT; 0: nothing */
	__u64 budget_burst_ns; /* how far copying may run ahead of the budget */
	__u64 joined_until_ns; /* a flow found in mid-message before this is copied to its end */
	__u64 ports[PORT_WORDS]; /* bitmap of service ports */
	__u8 pad_line[32]; /* the rest is written for every copy: a cache line of its own */
	__u64 budget_until_ns; /* what was copied is paid for at this time, CLOCK_MONOTONIC */
};
_Static_assert(sizeof(struct control) == 136 + 8 * PORT_WORDS, "control has no holes");
_Static_assert(__builtin_offsetof(struct control, budget_until_ns) % 64 == 0, "a line of its own");

/* Per CPU and role. SEEN equals the sum of the others up to COPIED. */
enum counter {
	SEEN = 0,       /* the program ran */
	OWN,            /* between us and the shadow, seen on a tapped interface */
	NOT_SERVICE,    /* another port or protocol */
	NO_PAYLOAD,     /* a pure ACK of the service */
	PAUSED,         /* off switch, trip or stale lease */
	SAMPLED_OUT,    /* a flow outside the sample */
	OVER_BUDGET,    /* of a request that began when the byte budget was spent */
	OTHER_HOST,     /* a frame addressed to another host (bridge, macvlan parent) */
	FRAGMENT,       /* an IP fragment of TCP: no ports in most of them */
	TUNNEL,         /* IP-in-IP, GRE, VXLAN, GENEVE: what is inside is not looked at */
	IPV6_EXTENSION, /* a chain of extension headers longer than we walk, or one we cannot */
	TRUNCATED,      /* headers or payload that the packet does not hold */
	RING_FULL,      /* no room in the ring */
	COPIED,         /* all pieces are on the ring */
	RING_FULL_REQUESTS, /* of RING_FULL: segments that begin with a method token */
	LEAKED,         /* packets of the shadow's address on the client-facing egress */
	TIMED,          /* of SEEN: packets whose way through the program was timed */
	TIMED_NS,       /* how long it was for them, together */
	UNTRACKED,      /* of OVER_BUDGET: of a flow that found no slot free */
	COUNTERS,
};

struct counters {
	__u64 value[ROLES][COUNTERS];
};

#endif
