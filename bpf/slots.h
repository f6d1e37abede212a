/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* By request: whether a flow is copied is asked anew at each request's start, and the answer holds
 * for the request and its response, however long, so that what is skipped makes no gaps.
 *
 * A request starts where a segment begins with a method, with new data, and the client has
 * everything that the service has sent, and more than at the request before. Sent any earlier it
 * is pipelined: it shares the fate of the one before, since nobody here can tell whose response is
 * whose; and such a flow, once skipped, is not taken up again. Requests that begin inside a segment
 * or have another method inherit too. Before its first request (a SYN, a preamble, TLS, a flow
 * joined in mid-connection) every packet of a flow asks.
 *
 * Slots are written without a lock: both directions of a flow may run at once on two processors.
 * Each has fields of its own; where two flows race for a slot one of them finds it taken. */
#ifndef SHADOW_AGENT_SLOTS_H
#define SHADOW_AGENT_SLOTS_H

#include "maps.h"
#include "parse.h"

/* slot.seen counts steps of 1.07 s from boot on; it does not wrap. */
#define SLOT_STEP_SHIFT 30
/* A copied flow silent for more steps gives its slot up to one that needs it. */
#define SLOT_IDLE 10

enum slot_bit {
	SLOT_STARTED = 1,   /* a request start was seen */
	SLOT_PIPELINES = 2, /* its client does not wait for responses */
	SLOT_SHUT = 4,      /* its preamble was skipped: what follows makes no sense without */
	SLOT_OPENED = 8,    /* its handshake was seen */
};

enum beginning {
	BEGINS_NOTHING,
	BEGINS_REQUEST,
	BEGINS_PREAMBLE, /* of the PROXY protocol, either version */
};

/* A copy that the verifier does not know for one: what is learned of it by asking splits no state
 * of what it was copied from, and with that the walk through all that copies. */
static __always_inline __u32 apart(__u32 value)
{
	asm volatile("%0 *= 1" : "+r"(value));
	return value;
}

static __always_inline __u32 word(const __u8 *c)
{
	return (__u32)c[0] << 24 | (__u32)c[1] << 16 | (__u32)c[2] << 8 | c[3];
}

static __always_inline int is_target(__u8 space, __u8 first)
{
	return space == ' ' && (first == '/' || first == '*' || first == 'h');
}

/* Few methods and strict: a body must not look like a request (flow/classify.py knows more). */
static __always_inline int beginning(struct __sk_buff *skb, const struct packet *p)
{
	__u8 c[12];

	if (apart(p->payload) < 16 || bpf_skb_load_bytes(skb, p->payload_at, c, sizeof(c)))
		return BEGINS_NOTHING;
	switch (word(c)) {
	case 0x47455420: /* GET */
	case 0x50555420: /* PUT */
		return is_target(c[3], c[4]);
	case 0x504f5354: /* POST */
	case 0x48454144: /* HEAD */
		return is_target(c[4], c[5]);
	case 0x50415443: /* PATCH */
		return is_target(c[5], c[6]);
	case 0x44454c45: /* DELETE */
		return is_target(c[6], c[7]);
	case 0x4f505449: /* OPTIONS */
		return is_target(c[7], c[8]);
	case 0x50524f58: /* PROXY */
	case 0x0d0a0d0a: /* and its version 2 */
		return BEGINS_PREAMBLE;
	}
	return BEGINS_NOTHING;
}

/* The 64-bit flow hash with the local address, which it leaves out; never 0. */
static __always_inline __u64 tag_of(const struct record *r, __u64 flow)
{
	const __u64 *local = (const __u64 *)r->local_addr;

	return (flow ^ (local[0] + 3 * local[1]) * 0x9E3779B97F4A7C15ULL) | 1;
}

/* Which of the four ways, without branches: each would be one more path through all that follows,
 * and the verifier's limit is a million steps. The barriers keep clang from finding the branch. */
static __always_inline __u64 is_zero(__u64 x)
{
	__u64 minus = -x;

	asm volatile("" : "+r"(minus));
	return (x | minus) >> 63 ^ 1;
}

static __always_inline __u64 is_less(__u64 a, __u64 b)
{
	__u64 difference = a - b;

	asm volatile("" : "+r"(difference));
	return difference >> 63;
}

/* Of two slots with one tag, which a race could leave, neither is found. */
static __always_inline struct slot *find_slot(struct slots *set, __u64 tag)
{
	__u64 way = is_zero(set->way[1].tag ^ tag) + 2 * is_zero(set->way[2].tag ^ tag) +
		    3 * is_zero(set->way[3].tag ^ tag);
	struct slot *slot = &set->way[way & (SLOT_WAYS - 1)];

	return slot->tag == tag ? slot : 0;
}

static __always_inline struct slot *oldest_slot(struct slots *set)
{
	__u64 low = is_less(set->way[1].seen, set->way[0].seen) & 1;
	__u64 high = 2 + (is_less(set->way[3].seen, set->way[2].seen) & 1);
	__u64 upper = is_less(set->way[high & 3].seen, set->way[low & 3].seen);

	return &set->way[(low + upper * (high - low)) & (SLOT_WAYS - 1)];
}

/* Whoever held it begins afresh if it comes back. */
static __always_inline int is_vacant(const struct slot *slot, __u64 now)
{
	return (now >> SLOT_STEP_SHIFT) > (__u64)slot->seen + SLOT_IDLE;
}

/* The question at a request's start: COPIED, or the counter that skips it. The bucket may run into
 * debt, since how long a message becomes is not known before: later requests pay. */
static __always_inline int admit(struct control *control, __u64 now)
{
	__u64 until = control->budget_until_ns;

	if (until < now)
		control->budget_until_ns = until = now;
	return until - now < control->budget_burst_ns ? COPIED : OVER_BUDGET;
}

static __always_inline void pay(struct control *control, __u32 bytes)
{
	if (control->budget_cost)
		__sync_fetch_and_add(&control->budget_until_ns,
				     bytes * control->budget_cost >> COST_SHIFT);
}

static __always_inline __u64 clock(struct record *r)
{
	if (!r->ts_ns)
		r->ts_ns = bpf_ktime_get_ns();
	return r->ts_ns;
}

/* Where a budget comes in mid-run, what is under way was copied so far: to its end, or for a while. */
static __always_inline int is_joined(const struct control *control, const struct slot *slot,
				     __u64 now)
{
	return now < control->joined_until_ns && !(slot->bits & SLOT_OPENED);
}

static __always_inline void set_fate(struct slot *slot, int fate)
{
	if (slot->fate == COPIED && fate != COPIED)
		slot->epoch++;
	slot->fate = fate;
}

/* Asks, if this packet is one to ask at, and keeps the answer. Returns NUMBER_SURE or 0. */
static __always_inline __u32 decide(struct __sk_buff *skb, struct control *control,
				   struct slot *slot, struct record *r, const struct packet *p)
{
	__u32 seq = from_net32(p->tcp.seq), ack = from_net32(p->tcp.ack);
	int begins = BEGINS_NOTHING, fate;
	__u32 sure;

	if (r->direction == DIRECTION_REQUEST &&
	    (__s32)(seq - slot->next[DIRECTION_REQUEST]) >= 0)
		begins = beginning(skb, p);
	if (begins == BEGINS_REQUEST) {
		if (slot->bits & SLOT_STARTED &&
		    (ack == slot->ack || (__s32)(ack - slot->next[DIRECTION_RESPONSE]) < 0)) {
			slot->bits |= SLOT_PIPELINES;
			return 0;
		}
		fate = admit(control, clock(r));
		if (slot->fate != COPIED && slot->bits & (SLOT_PIPELINES | SLOT_SHUT))
			fate = slot->fate;
		set_fate(slot, fate);
		sure = slot->bits & (SLOT_STARTED | SLOT_OPENED) ? NUMBER_SURE : 0;
		slot->ack = ack;
		slot->bits |= SLOT_STARTED;
		return sure;
	}
	if (slot->bits & SLOT_STARTED)
		return 0;
	if (!slot->fate || slot->fate == COPIED)
		set_fate(slot, is_joined(control, slot, clock(r)) ? COPIED
								  : admit(control, clock(r)));
	if (slot->fate != COPIED && begins == BEGINS_PREAMBLE)
		slot->bits |= SLOT_SHUT;
	return 0;
}

/* A packet's flow, in the slot it has or gets; 0: all are held. */
static __always_inline struct slot *slot_of(struct slots *set, struct record *r,
					    const struct packet *p, __u64 tag)
{
	__u32 way = r->direction & 1;
	__u8 opens = p->tcp.flags & (TCP_SYN | TCP_ACK);
	struct slot *slot = find_slot(set, tag);

	/* A SYN out of nowhere may be forged: only what ends or is skipped gives way to it. */
	if (!slot || (opens == TCP_SYN && is_vacant(slot, clock(r)))) {
		if (!slot)
			slot = oldest_slot(set);
		if (!is_vacant(slot, clock(r)))
			return 0;
		slot->tag = tag;
		slot->seen = r->ts_ns >> SLOT_STEP_SHIFT;
		slot->next[way] = from_net32(p->tcp.seq);
		slot->next[way ^ 1] = from_net32(p->tcp.ack);
		slot->ack = 0;
		slot->fate = 0;
		slot->bits = opens == TCP_SYN ? SLOT_OPENED : 0;
		slot->number[0] = slot->number[1] = 0;
		slot->epoch = 0;
		slot->tenancy = r->ts_ns >> 10 | 1;
	}
	if (opens == (TCP_SYN | TCP_ACK) && r->direction == DIRECTION_RESPONSE) {
		/* whoever this was before, a new connection is answered here */
		slot->next[DIRECTION_RESPONSE] = from_net32(p->tcp.seq);
		slot->next[DIRECTION_REQUEST] = from_net32(p->tcp.ack);
		slot->bits = SLOT_OPENED;
	}
	return slot;
}

/* Whether a packet is copied: COPIED, or the counter that skips it. */
static __always_inline int follow(struct __sk_buff *skb, struct control *control, __u64 *counters,
				  struct slots *set, struct record *r, struct packet *p, __u64 flow)
{
	__u32 way = r->direction & 1, end, sure;
	__u8 flags = p->tcp.flags;
	struct slot *slot = slot_of(set, r, p, tag_of(r, flow));

	if (!slot) {
		counters[UNTRACKED]++;
		return OVER_BUDGET;
	}
	sure = decide(skb, control, slot, r, p);
	end = from_net32(p->tcp.seq) + p->payload + !!(flags & TCP_SYN) + !!(flags & TCP_FIN);
	if ((__s32)(end - slot->next[way]) > 0)
		slot->next[way] = end;
	if (slot->fate != COPIED) {
		slot->seen = 0;
		/* Whoever knows of the connection learns of its end, without the last bytes. */
		if (!(flags & (TCP_FIN | TCP_RST)) || !(slot->number[0] | slot->number[1]))
			return OVER_BUDGET; /* the only fate beside COPIED until there is a second */
		p->tcp.seq = from_net32(from_net32(p->tcp.seq) + p->payload);
		p->payload = 0;
	} else {
		slot->seen = flags & (TCP_FIN | TCP_RST) ? 0 : clock(r) >> SLOT_STEP_SHIFT;
	}
	/* Also for what finds the ring full: only then a hole shows in the numbers, and a reader that
	 * does not keep up gets no more for it. */
	slot->number[way]++;
	pay(control, p->payload);
	r->number = slot->number[way] |
		    (__u32)(slot->epoch & (NUMBER_EPOCHS - 1)) << NUMBER_EPOCH_SHIFT | sure |
		    (__u32)slot->tenancy << NUMBER_TENANCY_SHIFT;
	return COPIED;
}

#endif
