/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What the guard's programs and user space share; kernel/guard_layout.py reads it the same way. */
#ifndef SHADOW_AGENT_GUARD_H
#define SHADOW_AGENT_GUARD_H

#include <linux/types.h>

#define GUARD_MAX_ALLOWED 4096
#define GUARD_MAX_STUBBED 1024
#define GUARD_RING_BYTES (256 * 1024)
#define GUARD_PORT_BYTES 4

/* Addresses are 16 bytes, IPv4 mapped (::ffff:a.b.c.d); ports and addresses in network order. */

/* Longest prefix: the port first, whole, then the address. Port 0: any port. */
struct guard_allow_key {
	__u32 prefix; /* bits of port and address that count */
	__u32 port;
	__u8 addr[16];
};

struct guard_stub_key {
	__u8 addr[16];
	__u32 port;
};

struct guard_stub {
	__u32 port; /* where the stub server listens on loopback; 0: nowhere, refused */
};

enum guard_hook {
	GUARD_HOOK_CONNECT = 1,
	GUARD_HOOK_SENDMSG = 2,
	GUARD_HOOK_SOCKET = 3, /* a kind of socket that is not allowed: no address yet */
	GUARD_HOOK_PACKET = 4, /* a packet with a route of its sender's: goes elsewhere first */
};

/* A refusal, 64 bytes. */
struct guard_event {
	__u64 time; /* CLOCK_MONOTONIC, ns */
	__u8 addr[16];
	__u32 port;
	__u16 protocol;
	__u16 hook;
	__u32 pid;
	__u32 pad;
	char comm[16];
	__u64 pad2;
};

enum guard_counter {
	GUARD_ALLOWED = 0, /* connections and datagrams let through */
	GUARD_STUBBED = 1, /* connections sent to the stub server */
	GUARD_REFUSED = 2, /* connections, datagrams and sockets refused */
	GUARD_UNTOLD = 3,  /* refused, but the ring was full: counted only */
	GUARD_COUNTERS = 4,
};

_Static_assert(sizeof(struct guard_allow_key) == 24, "layout");
_Static_assert(sizeof(struct guard_stub_key) == 20, "layout");
_Static_assert(sizeof(struct guard_stub) == 4, "layout");
_Static_assert(sizeof(struct guard_event) == 64, "layout");

#endif
