// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The tap: copies the service's TCP payload to user space and lets every packet go on.
 *
 * Attached to TC (TCX links, or a clsact filter) on ingress and egress. Each entry returns
 * "next" whatever happens and none writes to a packet; tests prove both by PROG_TEST_RUN. */
#ifndef SHADOW_AGENT_BCC
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#endif

#include "record.h"
#include "maps.h"
#include "parse.h"
#include "slots.h"

/* One packet in so many is timed: a prime, or a rhythm of the traffic would choose which. Two
 * readings of the clock cost some 40 ns, so less than one on average. */
#define TIMED_EVERY 61

#define NEXT -1 /* TCX_NEXT and TC_ACT_UNSPEC: as if we were not there */
#define PACKET_OTHERHOST 3

#ifdef SHADOW_AGENT_BCC
static inline struct control *control_page(void)
{
	u32 zero = 0;
	return control.lookup(&zero);
}

static inline struct counters *counters_here(void)
{
	u32 zero = 0;
	return counters.lookup(&zero);
}

static inline void *ring_of(u32 shard)
{
	return rings.lookup(&shard);
}

static inline struct slots *slots_of(u32 set)
{
	return slots.lookup(&set);
}
#else
static __always_inline struct control *control_page(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&control, &zero);
}

static __always_inline struct counters *counters_here(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&counters, &zero);
}

static __always_inline void *ring_of(__u32 shard)
{
	return bpf_map_lookup_elem(&rings, &shard);
}

static __always_inline struct slots *slots_of(__u32 set)
{
	return bpf_map_lookup_elem(&slots, &set);
}
#endif

enum hook {
	HOOK_INGRESS,
	HOOK_EGRESS,
	HOOK_LOOPBACK, /* lo passes both hooks with every packet: one is tapped */
};

static __always_inline int same_address(const __u32 *a, const __u8 *bytes)
{
	const __u32 *b = (const __u32 *)bytes;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

static __always_inline int is_shadow(struct control *control, const __u32 *address,
				     const __u8 *port_bytes)
{
	return port_of(port_bytes) == port_of(control->shadow_port) &&
	       same_address(address, control->shadow_addr);
}

static __always_inline int is_service(struct control *control, const __u8 *port_bytes)
{
	__u16 port = port_of(port_bytes);

	return control->ports[(port >> 6) & (PORT_WORDS - 1)] >> (port & 63) & 1;
}

/* Fibonacci hashing with a fold. Of its bits from 16 on the upper decide the sample, the lower the
 * shard and the slot; all of them are the slot's tag. */
static __always_inline __u64 flow_hash(const struct record *r, __u32 salt)
{
	/* the local address says nothing more; both ports lie in one word */
	const __u64 *address = (const __u64 *)r->remote_addr;
	const __u32 *ports = (const __u32 *)r->remote_port;
	__u64 h = salt;

	h = (h ^ address[0]) * 0x9E3779B97F4A7C15ULL;
	h ^= h >> 32;
	h = (h ^ address[1]) * 0x9E3779B97F4A7C15ULL;
	h ^= h >> 32;
	h = (h ^ *ports) * 0x9E3779B97F4A7C15ULL;
	h ^= h >> 32;
	return h;
}

/* Asks for a wake-up each time the ring has taken wake_bytes more, by position and not by
 * fill level: a reader that hangs is not woken for every record of a full ring. */
static __always_inline __u64 wake_flag(void *ring, __u32 taken, __u32 step)
{
	__u64 at = bpf_ringbuf_query(ring, BPF_RB_PROD_POS);

	return (at ^ (at - taken)) & ~((__u64)step - 1) ? BPF_RB_FORCE_WAKEUP
							: BPF_RB_NO_WAKEUP;
}

/* Size classes keep the ring small and the reserve constant, as the verifier wants. */
static __always_inline int copy_sized(struct __sk_buff *skb, void *ring, const struct record *r,
				      __u32 at, const __u32 size, __u32 step)
{
	struct record *slot = bpf_ringbuf_reserve(ring, sizeof(*r) + size, 0);

	if (!slot)
		return RING_FULL;
	__builtin_memcpy(slot, r, sizeof(*r));
	if (size) {
		__u32 length = r->length - 1;

		/* Newer clang knows the range already and drops the mask that the verifier needs. */
		asm volatile("" : "+r"(length));
		length = (length & (size - 1)) + 1;

		if (bpf_skb_load_bytes(skb, at, slot + 1, length)) {
			bpf_ringbuf_discard(slot, BPF_RB_NO_WAKEUP);
			return TRUNCATED;
		}
	}
	bpf_ringbuf_submit(slot, wake_flag(ring, sizeof(*r) + size + 8, step));
	return COPIED;
}

static __always_inline int copy_piece(struct __sk_buff *skb, void *ring, const struct record *r,
				      __u32 at, __u32 step)
{
	if (!r->copied)
		return copy_sized(skb, ring, r, at, 0, step);
	if (r->length <= 256)
		return copy_sized(skb, ring, r, at, 256, step);
	if (r->length <= 1024)
		return copy_sized(skb, ring, r, at, 1024, step);
	if (r->length <= 4096)
		return copy_sized(skb, ring, r, at, 4096, step);
	return copy_sized(skb, ring, r, at, PIECE_MAX, step);
}

/* A packet that is not wholly on the ring counts as RING_FULL; the pieces that made it are
 * good data all the same, and user space sees the rest missing by sequence number. */
static __always_inline int copy_packet(struct __sk_buff *skb, void *ring, struct record *r,
				       const struct packet *p, __u32 step)
{
	__u8 flags = p->tcp.flags;
	__u32 at = p->payload_at, left = p->payload;
	/* Linux takes the byte before the pointer, and the first for 0; of a SYN's data none. */
	__u16 urgent = from_net16(p->tcp.urgent);
	int result;

	if ((flags & (TCP_URG | TCP_SYN)) != TCP_URG)
		urgent = 0;
	else if (!urgent)
		urgent = 1;
	r->final = 0;
	r->length = r->copied = PIECE_MAX;
	r->tcp_flags = flags & ~(TCP_FIN | TCP_RST | TCP_PSH);
	for (__u32 i = 0; i < PIECES_MAX; i++) {
		/* some compilers fold the counter away, and the verifier its bound */
		asm volatile("" : "+r"(i));
		if (left <= PIECE_MAX)
			break;
		r->urgent = urgent <= PIECE_MAX ? urgent : 0;
		urgent -= urgent <= PIECE_MAX ? urgent : PIECE_MAX;
		result = copy_sized(skb, ring, r, at, PIECE_MAX, step);
		if (result != COPIED)
			return result;
		at += PIECE_MAX;
		left -= PIECE_MAX;
		r->seq += PIECE_MAX + (i == 0 && flags & TCP_SYN ? 1 : 0);
		r->tcp_flags &= ~TCP_SYN;
	}
	r->final = 1;
	r->tcp_flags = p->payload > PIECE_MAX ? flags & ~TCP_SYN : flags;
	r->length = r->copied = left;
	r->urgent = urgent <= left ? urgent : 0;
	return copy_piece(skb, ring, r, at, step);
}

static __always_inline int begins_with_method(struct __sk_buff *skb, const struct packet *p)
{
	__u8 c[8];

	if (p->payload < 16 || bpf_skb_load_bytes(skb, p->payload_at, c, sizeof(c)))
		return 0;
	/* three capitals at least, then capitals up to a space (or past what we look at) */
#pragma unroll
	for (int i = 0; i < 8; i++) {
		if (i >= 3 && c[i] == ' ')
			return 1;
		if (c[i] < 'A' || c[i] > 'Z')
			return 0;
	}
	return 1;
}

/* What becomes of one packet: the counter that names it. */
static __always_inline int mirror(struct __sk_buff *skb, struct control *control,
				  __u64 *counters, const enum role role, const enum hook hook,
				  const __u32 link)
{
	struct packet p = {};
	struct record r = {};
	__u32 at, end, hash, shard;
	int result, request, to_shadow, from_shadow;
	__u64 flow;
	__u16 type;
	void *ring;

	type = link_layer(skb, link, &at);
	result = network_layer(skb, type, &p, &at, &end);
	if (role == ROLE_PRODUCTION && hook == HOOK_EGRESS && control->guard && p.family &&
	    same_address(p.source, control->shadow_addr)) {
		counters[LEAKED]++;
		control->tripped = 1;
	}
	if (result != COPIED)
		return result;
	at = forget(skb, at) & HEADERS_MASK;
	end = forget(skb, end);
	if (load_header(skb, at, &p.tcp, sizeof(p.tcp)))
		return TRUNCATED;
	to_shadow = is_shadow(control, p.destination, p.tcp.destination);
	from_shadow = is_shadow(control, p.source, p.tcp.source);
	if (role == ROLE_PRODUCTION) {
		/* in both directions: on lo the shadow may listen on the service's port */
		if (to_shadow || from_shadow)
			return OWN;
		request = hook == HOOK_LOOPBACK ? is_service(control, p.tcp.destination)
						: hook == HOOK_INGRESS;
		if (!is_service(control, request ? p.tcp.destination : p.tcp.source))
			return NOT_SERVICE;
	} else {
		request = hook == HOOK_LOOPBACK ? to_shadow : hook == HOOK_EGRESS;
		if (!(request ? to_shadow : from_shadow))
			return NOT_SERVICE;
	}
	result = payload_bounds(skb, &p, at, end);
	if (result != COPIED)
		return result;
	/* Only where frames come in from outside: behind a bridge's port, or on the host's end of
	 * a container, the service's own frames are addressed to others too. */
	if (hook != HOOK_EGRESS && skb->pkt_type == PACKET_OTHERHOST &&
	    (!skb->ingress_ifindex || skb->ingress_ifindex == skb->ifindex))
		return OTHER_HOST;
	if (!p.payload && !(p.tcp.flags & (TCP_SYN | TCP_FIN | TCP_RST)))
		return NO_PAYLOAD;

	if (role == ROLE_PRODUCTION && (control->paused || control->tripped))
		return PAUSED;

	r.direction = request ? DIRECTION_REQUEST : DIRECTION_RESPONSE;
	r.role = role;
	/* The remote end sends requests to a service, and answers when it is the shadow. */
	if ((role == ROLE_PRODUCTION) == (r.direction == DIRECTION_REQUEST)) {
		__builtin_memcpy(r.remote_addr, p.source, 16);
		__builtin_memcpy(r.local_addr, p.destination, 16);
		__builtin_memcpy(r.remote_port, p.tcp.source, 2);
		__builtin_memcpy(r.local_port, p.tcp.destination, 2);
	} else {
		__builtin_memcpy(r.remote_addr, p.destination, 16);
		__builtin_memcpy(r.local_addr, p.source, 16);
		__builtin_memcpy(r.remote_port, p.tcp.destination, 2);
		__builtin_memcpy(r.local_port, p.tcp.source, 2);
	}
	if (role == ROLE_PRODUCTION) {
		flow = flow_hash(&r, control->salt);
		hash = flow >> 16;
		if (hash >= control->sample_below)
			return SAMPLED_OUT;
		if (control->by_request) {
			struct slots *set = slots_of(hash & (SLOT_SETS - 1));

			if (!set)
				return OVER_BUDGET;
			result = follow(skb, control, counters, set, &r, &p, flow);
			if (result != COPIED)
				return result;
		}
	} else {
		/* Workers choose local ports so that the port names their shard. */
		hash = port_of(r.local_port);
	}
	/* after the sample: the clock costs 40 ns, as much as all that comes before */
	clock(&r);
	if (r.ts_ns - control->lease_ns > control->lease_max_ns && r.ts_ns > control->lease_ns)
		return PAUSED;
	shard = control->shards > 1 ? hash % control->shards : 0;
	ring = ring_of(shard);
	if (!ring)
		return RING_FULL;

	r.family = p.family;
	r.seq = from_net32(p.tcp.seq);
	r.ack = from_net32(p.tcp.ack);
	r.ifindex = skb->ifindex;
	if (role == ROLE_SHADOW) {
		r.tcp_flags = p.tcp.flags;
		r.length = p.payload;
		r.final = 1;
		return copy_sized(skb, ring, &r, 0, 0, control->wake_bytes);
	}
	result = copy_packet(skb, ring, &r, &p, control->wake_bytes);
	if (result == RING_FULL && request && begins_with_method(skb, &p))
		counters[RING_FULL_REQUESTS]++;
	return result;
}

static __always_inline int tap(struct __sk_buff *skb, const enum role role, const enum hook hook,
			       const __u32 link)
{
	struct counters *counters = counters_here();
	struct control *control = control_page();
	__u64 began = 0;
	int result;

	if (!counters || !control)
		return NEXT;
	if (counters->value[role][SEEN] >= TIMED_EVERY * (counters->value[role][TIMED] + 1))
		began = bpf_ktime_get_ns();
	counters->value[role][SEEN]++;
	result = mirror(skb, control, counters->value[role], role, hook, link);
	if (result > SEEN && result <= COPIED)
		counters->value[role][result]++;
	if (began) {
		counters->value[role][TIMED]++;
		counters->value[role][TIMED_NS] += bpf_ktime_get_ns() - began;
	}
	return NEXT;
}

SECTION("tc") int tap_ingress(struct __sk_buff *skb)
{
	return tap(skb, ROLE_PRODUCTION, HOOK_INGRESS, ETHERNET_HEADER);
}

SECTION("tc") int tap_egress(struct __sk_buff *skb)
{
	return tap(skb, ROLE_PRODUCTION, HOOK_EGRESS, ETHERNET_HEADER);
}

SECTION("tc") int tap_loopback(struct __sk_buff *skb)
{
	return tap(skb, ROLE_PRODUCTION, HOOK_LOOPBACK, ETHERNET_HEADER);
}

SECTION("tc") int tap_l3_ingress(struct __sk_buff *skb)
{
	return tap(skb, ROLE_PRODUCTION, HOOK_INGRESS, NO_LINK_HEADER);
}

SECTION("tc") int tap_l3_egress(struct __sk_buff *skb)
{
	return tap(skb, ROLE_PRODUCTION, HOOK_EGRESS, NO_LINK_HEADER);
}

SECTION("tc") int shadow_ingress(struct __sk_buff *skb)
{
	return tap(skb, ROLE_SHADOW, HOOK_INGRESS, ETHERNET_HEADER);
}

SECTION("tc") int shadow_egress(struct __sk_buff *skb)
{
	return tap(skb, ROLE_SHADOW, HOOK_EGRESS, ETHERNET_HEADER);
}

SECTION("tc") int shadow_loopback(struct __sk_buff *skb)
{
	return tap(skb, ROLE_SHADOW, HOOK_LOOPBACK, ETHERNET_HEADER);
}

SECTION("tc") int shadow_l3_ingress(struct __sk_buff *skb)
{
	return tap(skb, ROLE_SHADOW, HOOK_INGRESS, NO_LINK_HEADER);
}

SECTION("tc") int shadow_l3_egress(struct __sk_buff *skb)
{
	return tap(skb, ROLE_SHADOW, HOOK_EGRESS, NO_LINK_HEADER);
}

#ifndef SHADOW_AGENT_BCC
char LICENSE[] SEC("license") = "GPL";
#endif
