/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* From a socket buffer to addresses, ports and the place of the TCP payload.
 *
 * Headers are read in place where they are linear, which halves what a skipped packet costs
 * (106 to 51 ns), else with bpf_skb_load_bytes; pulling them would change the packet. */
#ifndef SHADOW_AGENT_PARSE_H
#define SHADOW_AGENT_PARSE_H

#include "record.h"

#define ETHERNET_HEADER 14
#define NO_LINK_HEADER 0 /* L3 devices: tun, wireguard */

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86DD
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88A8
#define ETHERTYPE_QINQ_OLD 0x9100 /* before 802.1ad, still the default of some switches */

#define PROTOCOL_HOP_BY_HOP 0
#define PROTOCOL_IPIP 4
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_IPV6 41
#define PROTOCOL_ROUTING 43
#define PROTOCOL_FRAGMENT 44
#define PROTOCOL_GRE 47
#define PROTOCOL_AH 51
#define PROTOCOL_DESTINATION 60

/* Cloud traffic mirroring and overlay networks; 8472 is what Linux used before 4789. */
#define PORT_VXLAN 4789
#define PORT_VXLAN_LINUX 8472
#define PORT_GENEVE 6081

/* Longest chain of IPv6 extension headers that we walk (RFC 8200 names six kinds). */
#define EXTENSIONS_MAX 6
/* No TCP header begins further in: two tags, IPv6, extensions of 2 KiB each. */
#define HEADERS_MASK 0x7fff

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20

struct ipv4_header {
	__u8 version_ihl, tos;
	__u16 total_length, id, fragment;
	__u8 ttl, protocol;
	__u16 checksum;
	__u32 source, destination;
};

struct ipv6_header {
	__u32 version_class_flow;
	__u16 payload_length;
	__u8 next_header, hop_limit;
	__u32 source[4], destination[4];
};

struct tcp_header {
	__u8 source[2], destination[2];
	__u32 seq, ack;
	__u8 offset, flags;
	__u16 window, checksum, urgent;
};

struct packet {
	__u32 source[4], destination[4]; /* network order, IPv4 mapped */
	struct tcp_header tcp;
	__u32 payload_at; /* from the start of the packet */
	__u32 payload;    /* bytes */
	__u8 family;
};

static __always_inline __u16 from_net16(__u16 v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap16(v);
#else
	return v;
#endif
}

static __always_inline __u32 from_net32(__u32 v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap32(v);
#else
	return v;
#endif
}

static __always_inline __u16 port_of(const __u8 *bytes)
{
	return (__u16)bytes[0] << 8 | bytes[1];
}

/* The same value, of which the verifier knows nothing: where many ways meet (tags, extension
 * headers) it would walk all that follows once for each, which took four times as long to load. */
static __always_inline __u32 forget(struct __sk_buff *skb, __u32 value)
{
	__u32 length = skb->len, same = length;

	asm volatile("" : "+r"(same));
	return value + (same - length);
}

/* `size` bytes at `at`; not 0 when the packet is shorter. */
static __always_inline int load_header(struct __sk_buff *skb, __u32 at, void *to, const __u32 size)
{
	const __u8 *from = (const __u8 *)(long)skb->data + at;

	if (from + size > (const __u8 *)(long)skb->data_end)
		return bpf_skb_load_bytes(skb, at, to, size);
	__builtin_memcpy(to, from, size);
	return 0;
}

/* The first ethertype that is no VLAN tag, and where its header starts. Tags in skb
 * metadata are not in the frame; at most two in-frame tags (QinQ, or the inner one). */
static __always_inline __u16 link_layer(struct __sk_buff *skb, const __u32 link, __u32 *at)
{
	__u16 type;

	*at = link;
	if (link == NO_LINK_HEADER)
		return from_net16((__u16)skb->protocol);
	if (load_header(skb, link - 2, &type, 2))
		return 0;
	type = from_net16(type);
#pragma unroll
	for (int i = 0; i < 2; i++) {
		if (type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ &&
		    type != ETHERTYPE_QINQ_OLD)
			break;
		if (bpf_skb_load_bytes(skb, *at + 2, &type, 2))
			return 0;
		type = from_net16(type);
		*at += 4;
	}
	return type;
}

static __always_inline int is_tunnel_port(const __u8 *bytes)
{
	__u16 port = port_of(bytes);

	return port == PORT_VXLAN || port == PORT_VXLAN_LINUX || port == PORT_GENEVE;
}

/* What a UDP header at `at` makes of a packet: TUNNEL or NOT_SERVICE. */
static __always_inline int datagram(struct __sk_buff *skb, __u32 at)
{
	__u8 ports[4];

	if (load_header(skb, at, ports, sizeof(ports)))
		return NOT_SERVICE;
	return is_tunnel_port(ports) || is_tunnel_port(ports + 2) ? TUNNEL : NOT_SERVICE;
}

/* Addresses of an IP packet at `at`. Returns COPIED when `*at` is where a TCP header
 * starts and `*end` where its payload ends, else the counter that names why not. */
static __always_inline int network_layer(struct __sk_buff *skb, __u16 type, struct packet *p,
					 __u32 *at, __u32 *end)
{
	if (type == ETHERTYPE_IPV4) {
		struct ipv4_header ip;
		__u32 header, total;

		if (load_header(skb, *at, &ip, sizeof(ip)))
			return TRUNCATED;
		p->family = 4;
		p->source[0] = p->source[1] = 0;
		p->source[2] = from_net32(0xffff);
		p->source[3] = ip.source;
		p->destination[0] = p->destination[1] = 0;
		p->destination[2] = from_net32(0xffff);
		p->destination[3] = ip.destination;
		if (ip.protocol == PROTOCOL_IPIP || ip.protocol == PROTOCOL_IPV6 ||
		    ip.protocol == PROTOCOL_GRE)
			return TUNNEL;
		/* what is not the first fragment has no ports */
		if (ip.protocol == PROTOCOL_UDP && !(from_net16(ip.fragment) & 0x1fff))
			return datagram(skb, *at + (__u32)(ip.version_ihl & 15) * 4);
		if (ip.protocol != PROTOCOL_TCP)
			return NOT_SERVICE;
		/* more fragments follow, or this is not the first */
		if (from_net16(ip.fragment) & 0x3fff)
			return FRAGMENT;
		/* version 4 and a header length of 5 to 15 words */
		if (ip.version_ihl < 0x45 || ip.version_ihl > 0x4f)
			return TRUNCATED;
		header = (__u32)(ip.version_ihl & 15) * 4;
		total = from_net16(ip.total_length);
		/* 0: BIG TCP. Else the field is right and the frame may be padded. */
		*end = total ? *at + total : skb->len;
		*at += header;
		return COPIED;
	}
	if (type == ETHERTYPE_IPV6) {
		struct ipv6_header ip;
		__u32 total;
		__u8 next;

		if (load_header(skb, *at, &ip, sizeof(ip)))
			return TRUNCATED;
		p->family = 6;
		__builtin_memcpy(p->source, ip.source, 16);
		__builtin_memcpy(p->destination, ip.destination, 16);
		total = from_net16(ip.payload_length);
		*end = total ? *at + sizeof(ip) + total : skb->len;
		*at += sizeof(ip);
		next = ip.next_header;
		for (int i = 0; i < EXTENSIONS_MAX; i++) {
			__u8 option[2];

			if (next == PROTOCOL_TCP)
				return COPIED;
			if (next == PROTOCOL_FRAGMENT)
				return FRAGMENT;
			if (next == PROTOCOL_IPIP || next == PROTOCOL_IPV6 || next == PROTOCOL_GRE)
				return TUNNEL;
			if (next == PROTOCOL_UDP)
				return datagram(skb, *at);
			if (next != PROTOCOL_HOP_BY_HOP && next != PROTOCOL_ROUTING &&
			    next != PROTOCOL_DESTINATION && next != PROTOCOL_AH)
				return NOT_SERVICE;
			if (bpf_skb_load_bytes(skb, *at, option, 2))
				return TRUNCATED;
			*at += next == PROTOCOL_AH ? ((__u32)option[1] + 2) * 4
						   : ((__u32)option[1] + 1) * 8;
			next = option[0];
		}
		return next == PROTOCOL_TCP ? COPIED : IPV6_EXTENSION;
	}
	return NOT_SERVICE;
}

/* Where the payload behind the TCP header at `at` is. Returns COPIED, or TRUNCATED for lengths
 * that contradict each other. */
static __always_inline int payload_bounds(struct __sk_buff *skb, struct packet *p, __u32 at,
					  __u32 end)
{
	__u32 header = (__u32)(p->tcp.offset >> 4) * 4;

	p->payload_at = at + header;
	if (header < sizeof(p->tcp) || p->payload_at > end || end > skb->len)
		return TRUNCATED;
	p->payload = end - p->payload_at;
	return COPIED;
}

#endif
