// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
//
// The guard of the shadow host: what the processes of one cgroup may call.
//
// Attached to the cgroup itself (BPF_PROG_ATTACH), so that the refusal outlives whoever attached
// it. A connection or datagram goes out to what `allow` names, goes to the stub server where
// `stubs` says so and the lease is fresh, and is refused (EPERM) otherwise. A socket that the
// other hooks would not see (raw, ping, MPTCP, SCTP, UDP-Lite) is refused when it is made.
// Every refusal is counted, and described in the ring while there is room.

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "guard.h"

#define REFUSE 0
#define PASS 1

#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define PROTO_TCP 6
#define PROTO_UDP 17
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define HEADER_HOP_BY_HOP 0
#define HEADER_ROUTING 43
#define ANY_PREFIX (8 * (GUARD_PORT_BYTES + 16))

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, GUARD_MAX_ALLOWED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct guard_allow_key);
	__type(value, __u32);
} allow SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GUARD_MAX_STUBBED);
	__type(key, struct guard_stub_key);
	__type(value, struct guard_stub);
} stubs SEC(".maps");

// One value: until when (CLOCK_MONOTONIC, ns) the stub server is known to listen.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lease SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GUARD_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, GUARD_RING_BYTES);
} refused SEC(".maps");

static __always_inline void count(__u32 what)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &what);

	if (value)
		*value += 1;
}

static __always_inline int refuse(const struct guard_stub_key *where, __u16 protocol, __u16 hook)
{
	struct guard_event *event;

	count(GUARD_REFUSED);
	event = bpf_ringbuf_reserve(&refused, sizeof(*event), 0);
	if (!event) {
		count(GUARD_UNTOLD);
		return REFUSE;
	}
	event->time = bpf_ktime_get_ns();
	__builtin_memcpy(event->addr, where->addr, sizeof(event->addr));
	event->port = where->port;
	event->protocol = protocol;
	event->hook = hook;
	event->pad = 0;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->pad2 = 0;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return REFUSE;
}

// As refuse(), from where the process is not known: a packet may leave long after it was written.
static __always_inline int refuse_packet(const struct guard_stub_key *where, __u16 protocol)
{
	struct guard_event *event;

	count(GUARD_REFUSED);
	event = bpf_ringbuf_reserve(&refused, sizeof(*event), 0);
	if (!event) {
		count(GUARD_UNTOLD);
		return REFUSE;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time = bpf_ktime_get_ns();
	__builtin_memcpy(event->addr, where->addr, sizeof(event->addr));
	event->protocol = protocol;
	event->hook = GUARD_HOOK_PACKET;
	bpf_ringbuf_submit(event, 0);
	return REFUSE;
}

static __always_inline int allowed(const struct guard_stub_key *where)
{
	struct guard_allow_key key = {.prefix = ANY_PREFIX};

	__builtin_memcpy(key.addr, where->addr, sizeof(key.addr));
	if (bpf_map_lookup_elem(&allow, &key)) // to any port
		return 1;
	key.port = where->port;
	return bpf_map_lookup_elem(&allow, &key) != 0;
}

static __always_inline struct guard_stub *stub_for(const struct guard_stub_key *where)
{
	__u32 zero = 0;
	__u64 *until = bpf_map_lookup_elem(&lease, &zero);
	struct guard_stub *stub = bpf_map_lookup_elem(&stubs, where);

	if (!stub || !stub->port || !until || bpf_ktime_get_ns() > *until)
		return 0;
	return stub;
}

static __always_inline void mapped(struct guard_stub_key *where, __u32 ip4)
{
	__u32 *words = (__u32 *)where->addr;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = ip4;
}

static __always_inline void full(struct guard_stub_key *where, const struct bpf_sock_addr *ctx)
{
	__u32 *words = (__u32 *)where->addr;

	words[0] = ctx->user_ip6[0];
	words[1] = ctx->user_ip6[1];
	words[2] = ctx->user_ip6[2];
	words[3] = ctx->user_ip6[3];
	// An IPv6 socket connects to its own host as "::" too.
}

static __always_inline int is_mapped(const struct guard_stub_key *where)
{
	const __u32 *words = (const __u32 *)where->addr;

	return words[0] == 0 && words[1] == 0 && words[2] == bpf_htonl(0xffff);
}

SEC("cgroup/connect4")
int guard_connect4(struct bpf_sock_addr *ctx)
{
	struct guard_stub_key where = {.port = ctx->user_port};
	struct guard_stub *stub;

	mapped(&where, ctx->user_ip4);
	// A stub goes before the allow-list: 10.0.0.0/8 may be allowed and one host of it stubbed.
	if (ctx->protocol == PROTO_TCP) {
		stub = stub_for(&where);
		if (stub) {
			ctx->user_ip4 = bpf_htonl(0x7f000001);
			ctx->user_port = stub->port;
			count(GUARD_STUBBED);
			return PASS;
		}
		if (bpf_map_lookup_elem(&stubs, &where)) // stubbed, but nobody is there to answer
			return refuse(&where, ctx->protocol, GUARD_HOOK_CONNECT);
	}
	if (allowed(&where)) {
		count(GUARD_ALLOWED);
		return PASS;
	}
	return refuse(&where, ctx->protocol, GUARD_HOOK_CONNECT);
}

SEC("cgroup/connect6")
int guard_connect6(struct bpf_sock_addr *ctx)
{
	struct guard_stub_key where = {.port = ctx->user_port};
	struct guard_stub *stub;

	full(&where, ctx);
	if (ctx->protocol == PROTO_TCP) {
		stub = stub_for(&where);
		if (stub) {
			ctx->user_ip6[0] = 0;
			ctx->user_ip6[1] = 0;
			ctx->user_ip6[2] = is_mapped(&where) ? bpf_htonl(0xffff) : 0;
			ctx->user_ip6[3] = bpf_htonl(is_mapped(&where) ? 0x7f000001 : 1);
			ctx->user_port = stub->port;
			count(GUARD_STUBBED);
			return PASS;
		}
		if (bpf_map_lookup_elem(&stubs, &where))
			return refuse(&where, ctx->protocol, GUARD_HOOK_CONNECT);
	}
	if (allowed(&where)) {
		count(GUARD_ALLOWED);
		return PASS;
	}
	return refuse(&where, ctx->protocol, GUARD_HOOK_CONNECT);
}

static __always_inline int datagram(const struct guard_stub_key *where, __u16 protocol)
{
	if (allowed(where)) {
		count(GUARD_ALLOWED);
		return PASS;
	}
	return refuse(where, protocol, GUARD_HOOK_SENDMSG);
}

SEC("cgroup/sendmsg4")
int guard_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct guard_stub_key where = {.port = ctx->user_port};

	mapped(&where, ctx->user_ip4);
	return datagram(&where, ctx->protocol);
}

SEC("cgroup/sendmsg6")
int guard_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct guard_stub_key where = {.port = ctx->user_port};

	full(&where, ctx);
	return datagram(&where, ctx->protocol);
}

SEC("cgroup/sock_create")
int guard_socket(struct bpf_sock *ctx)
{
	struct guard_stub_key nowhere = {};

	if (ctx->type == SOCK_STREAM && ctx->protocol == PROTO_TCP)
		return PASS;
	if (ctx->type == SOCK_DGRAM && ctx->protocol == PROTO_UDP)
		return PASS;
	return refuse(&nowhere, ctx->protocol, GUARD_HOOK_SOCKET);
}

// Whether an IPv4 header has options: no honest server sends any, and a source route is one.
static __always_inline int routed4(struct __sk_buff *skb)
{
	__u8 first = 0;

	return !bpf_skb_load_bytes(skb, 0, &first, 1) && (first & 0xf) > 5;
}

// Whether there is a routing header, first or after the one that the kernel itself may put before
// it (jumbo payload); others before it take privileges.
static __always_inline int routed6(struct __sk_buff *skb)
{
	__u8 next = 0;

	if (bpf_skb_load_bytes(skb, 6, &next, 1))
		return 0;
	if (next == HEADER_HOP_BY_HOP && bpf_skb_load_bytes(skb, 40, &next, 1))
		return 0;
	return next == HEADER_ROUTING;
}

// The other hooks see the address that the process named. A source route or routing header, which
// needs no privilege, sends the packet to another one first.
SEC("cgroup_skb/egress")
int guard_egress(struct __sk_buff *skb)
{
	struct guard_stub_key where = {};
	__u8 protocol = 0;
	__u32 ip4 = 0;

	if (skb->protocol == bpf_htons(ETHERTYPE_IPV4) && routed4(skb)) {
		bpf_skb_load_bytes(skb, 16, &ip4, sizeof(ip4));
		bpf_skb_load_bytes(skb, 9, &protocol, 1);
		mapped(&where, ip4);
		return refuse_packet(&where, protocol);
	}
	if (skb->protocol == bpf_htons(ETHERTYPE_IPV6) && routed6(skb)) {
		bpf_skb_load_bytes(skb, 24, where.addr, sizeof(where.addr));
		return refuse_packet(&where, HEADER_ROUTING);
	}
	return PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
