// The program that forwards the packets of bound channels (doc.go). It runs for each
// packet that comes in on an interface; what it does not take goes on its way to the
// sockets as if there were no program.
//
// Start reading at forward, below. The tables, which the relay fills, are in tables.h.

#include "system.h"
#include "tables.h"

// next leaves the packet to whoever comes after this program. drop is for what
// cannot be sent any more: it is half rewritten, or over a limit.
enum { next = -1, drop = 2 }; // TCX_NEXT, TCX_DROP

enum {
	host = 0,            // skb->pkt_type of what is for this machine
	ipv4 = 2, ipv6 = 10, // AF_INET, AF_INET6
	udp_header = sizeof(struct udphdr),
	channel_header = 4,
	dont_fragment = 0x4000,
};

// packet is what is known of a packet; offsets and sizes are in bytes.
struct packet {
	struct key key;
	__u32 udp;      // offset of the UDP header
	__u32 size;     // of the UDP payload
	__u32 data;     // of the payload that the relay forwards
	__u32 over;     // behind it
};

inline __u32 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (sum & 0xffffffff) + (sum >> 32);
}

// pay takes from a meter, like meter.take in the relay.
inline int pay(__u32 number, __u32 bytes)
{
	struct meter *m = map_lookup(&meters, &number);
	if (!m)
		return 0;
	__u64 at = now(), cost = (m->cost * bytes) >> 16;
#pragma unroll
	for (int i = 0; i < 8; i++) {
		__u64 old = *(volatile __u64 *)&m->due;
		__u64 due = (old > at ? old : at) + cost;
		if (due - at > m->burst)
			return 0;
		if (__sync_val_compare_and_swap(&m->due, old, due) == old)
			return 1;
	}
	return 0;
}

// parse_udp reads the UDP header, whose length must be the one that IP has told:
// what is longer or shorter is not sound. Frames may be longer than that, as short
// ones are padded.
inline int parse_udp(struct __sk_buff *skb, const struct udphdr *udp, struct packet *p)
{
	if (ntohs(udp->len) != p->size || p->size < udp_header || p->udp + p->size > skb->len)
		return 0;
	if (p->key.family == ipv6 && !udp->check)
		return 0;
	p->size -= udp_header;
	if (p->size >= max_datagram)
		return 0;
	p->key.source_port = udp->source;
	p->key.destination_port = udp->dest;
	return 1;
}

// parse_ipv4 reads an IPv4 header without options, of a whole datagram of UDP. The
// kernel has not checked it yet.
inline int parse_ipv4(struct __sk_buff *skb, struct packet *p)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct udphdr *udp = (void *)(ip + 1);
	if ((void *)(udp + 1) > end || ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
	    ip->frag_off & ~htons(dont_fragment) || ip->ttl < 2)
		return 0;
	__u32 sum = 0;
	__u16 *word = (void *)ip;
#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	if (sum != 0xffff)
		return 0;
	p->key.family = ipv4;
	p->key.source.words[0] = ip->saddr;
	p->key.destination.words[0] = ip->daddr;
	p->udp = ETH_HLEN + sizeof(*ip);
	p->size = ntohs(ip->tot_len) - sizeof(*ip);
	return parse_udp(skb, udp, p);
}

// parse_ipv6 reads an IPv6 header that is followed by UDP.
inline int parse_ipv6(struct __sk_buff *skb, struct packet *p)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ipv6hdr *ip = data + ETH_HLEN;
	struct udphdr *udp = (void *)(ip + 1);
	if ((void *)(udp + 1) > end || ip->version != 6 || ip->nexthdr != IPPROTO_UDP || ip->hop_limit < 2)
		return 0;
	p->key.family = ipv6;
	p->key.source = *(struct address *)&ip->saddr;
	p->key.destination = *(struct address *)&ip->daddr;
	p->udp = ETH_HLEN + sizeof(*ip);
	p->size = ntohs(ip->payload_len);
	return parse_udp(skb, udp, p);
}

// find returns the leg of a packet: that of its channel, if it may be ChannelData, or
// else that of its sender, if that is a peer.
inline struct leg *find(struct __sk_buff *skb, struct packet *p)
{
	__be16 header[2];
	struct leg *l;
	if (p->size >= channel_header && !load_bytes(skb, p->udp + udp_header, header, sizeof(header)) &&
	    (header[0] & htons(0xc000)) == htons(0x4000)) {
		p->key.channel = header[0];
		p->data = ntohs(header[1]);
		l = map_lookup(&legs, &p->key);
		if (l) {
			// A length beyond the end is malformed. What follows the data is
			// padding, however long (RFC 8656, section 12.5).
			if (p->data + channel_header > p->size)
				return 0;
			p->over = p->size - channel_header - p->data;
			return p->over > max_padding ? 0 : l;
		}
		p->key.channel = 0;
	}
	p->data = p->size;
	return map_lookup(&legs, &p->key);
}

// uncover moves the data to where the header of ChannelData was, and returns by how
// much the sum of the datagram without the UDP header has changed, the channel's
// number left out. A move by four bytes does not change it.
//
// The four bytes behind the data are set to zero before they are cut off, so that a
// sum that the network card made stays right.
inline int uncover(struct __sk_buff *skb, struct packet *p, __u64 *sum)
{
	__u32 zero = 0, size = p->size, data = p->data, over = p->over;
	struct scratch *s = map_lookup(&scratches, &zero);
	if (!s || size < channel_header || size >= max_datagram || data >= max_datagram || over > max_padding)
		return 0;
	if (load_bytes(skb, p->udp + udp_header, s->bytes, size))
		return 0;
	if (over) {
		// In words of its own, after an odd number of bytes, the sum has its bytes
		// the other way around (RFC 1071).
		*(__u32 *)(s->bytes + size) = 0;
		__u32 padding = csum_diff(0, 0, s->bytes + channel_header + data, (over + 3) & ~3, 0);
		padding = (padding & 0xffff) + (padding >> 16);
		padding = (padding & 0xffff) + (padding >> 16);
		if (data & 1)
			padding = (padding & 0xff) << 8 | padding >> 8;
		*sum += (__u16)~padding;
	}
	*(__u32 *)(s->bytes + channel_header + data) = 0;
	*sum += (__u16)~htons(data);
	return !store_bytes(skb, p->udp + udp_header, s->bytes + channel_header, data + channel_header, 0) &&
	       !change_tail(skb, p->udp + udp_header + data, 0);
}

// cover puts a header of ChannelData before the data.
inline int cover(struct __sk_buff *skb, struct packet *p, __be16 channel, __u64 *sum)
{
	__u32 zero = 0, size = p->size;
	struct scratch *s = map_lookup(&scratches, &zero);
	if (!s || size >= max_datagram)
		return 0;
	if (change_tail(skb, p->udp + udp_header + size + channel_header, 0))
		return 0;
	// The room of the header holds the end of the UDP header for the moment.
	if (load_bytes(skb, p->udp + udp_header - channel_header, s->bytes, size + channel_header))
		return 0;
	((__be16 *)s->bytes)[0] = channel;
	((__be16 *)s->bytes)[1] = htons(size);
	*sum += htons(size);
	return !store_bytes(skb, p->udp + udp_header, s->bytes, size + channel_header, 0);
}

// write_udp does not write to the packet itself, as the others do: where the header is
// differs, and without CAP_PERFMON the verifier takes no such pointer.
inline int write_udp(struct __sk_buff *skb, const struct leg *l, __u32 offset, __u32 size)
{
	__be16 header[] = {l->source_port, l->destination_port, htons(size)};
	return !store_bytes(skb, offset, header, sizeof(header), 0);
}

inline int write_ipv4(struct __sk_buff *skb, const struct leg *l, __u32 size)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	if ((void *)(ip + 1) > end)
		return 0;
	// Of a packet that the relay sends itself (RFC 8656, section 14): the rest of
	// the header, with DSCP and ECN, is the one that came.
	ip->tot_len = htons(sizeof(*ip) + size);
	ip->id = 0;
	ip->frag_off = htons(dont_fragment);
	ip->ttl--;
	ip->saddr = l->source.words[0];
	ip->daddr = l->destination.words[0];
	ip->check = 0;
	__u32 sum = 0;
	__u16 *word = (void *)ip;
#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = ~sum;
	return 1;
}

inline int write_ipv6(struct __sk_buff *skb, const struct leg *l, __u32 size)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ipv6hdr *ip = data + ETH_HLEN;
	if ((void *)(ip + 1) > end)
		return 0;
	// DSCP and ECN stay; the label is this flow's (RFC 8656, section 14).
	*(__be32 *)ip = (*(__be32 *)ip & htons(0xfff0)) | l->flow_label;
	ip->payload_len = htons(size);
	ip->hop_limit--;
	*(struct address *)&ip->saddr = l->source;
	*(struct address *)&ip->daddr = l->destination;
	return 1;
}

// pass takes a packet from a leg's meters and counts it, or counts that it may not
// pass.
inline int pass(const struct leg *l, __u32 bytes)
{
	struct count *c = map_lookup(&counts, &l->count);
	if (!c)
		return 0;
	if ((l->meters[0] && !pay(l->meters[0], bytes)) || (l->meters[1] && !pay(l->meters[1], bytes))) {
		__sync_fetch_and_add(&c->over, 1);
		return 0;
	}
	__sync_fetch_and_add(&c->packets, 1);
	__sync_fetch_and_add(&c->bytes, bytes);
	return 1;
}

// onward returns the leg that a packet takes as it leaves by another: that of a client
// of this relay, when what it leaves for is that client's relayed address.
inline struct leg *onward(const struct leg *l, __u16 family)
{
	struct key k = {
		.source = l->source, .destination = l->destination,
		.source_port = l->source_port, .destination_port = l->destination_port,
		.family = family,
	};
	return map_lookup(&legs, &k);
}

// renumber gives a message of ChannelData another channel.
inline int renumber(struct __sk_buff *skb, struct packet *p, __be16 channel)
{
	return !store_bytes(skb, p->udp + udp_header, &channel, sizeof(channel), 0);
}

SEC("tcx/ingress")
int forward(struct __sk_buff *skb)
{
	struct packet p = {};
	// What several packets were merged into would have to be cut first.
	if (skb->pkt_type != host || skb->vlan_present || skb->gso_size)
		return next;
	int sound = skb->protocol == htons(ETH_P_IP) ? parse_ipv4(skb, &p) : skb->protocol == htons(ETH_P_IPV6) && parse_ipv6(skb, &p);
	if (!sound)
		return next;
	struct leg *l = find(skb, &p);
	if (!l)
		return next;
	// From one client of this relay to another it goes in one step, as in two.
	struct leg *last = l, *via = 0;
	if (!l->hop_family && !l->to_client && !p.over) {
		via = onward(l, p.key.family);
		if (via) {
			last = via;
			via = l;
		}
	}
	__u32 size = udp_header + p.data + (last->to_client ? channel_header : 0);
	if (p.udp - ETH_HLEN + size > last->mtu)
		return next; // the sockets' path can fragment it
	// Only what came by lo can go on by it: it has a route to this machine with it,
	// and would be taken for forged without.
	if (!last->hop_family && skb->ifindex != last->interface)
		return next;
	__u32 zero = 0;
	__u64 *until = map_lookup(&lease, &zero);
	if (!until || *(volatile __u64 *)until < coarse_now())
		return next;
	if ((via && !pass(via, p.data)) || !pass(last, p.data))
		return drop;

	// A sum that the network card made over the frame must not outlive it: the frame
	// grows, by which it is dropped, where the changes would not leave it right.
	__u32 frame = p.udp + udp_header + p.size;
	if (skb->len != frame && change_tail(skb, frame, 0))
		return drop;
	if ((p.key.family == ipv6 || p.over) && !last->to_client && change_tail(skb, frame + 1, 0))
		return drop;
	if (p.key.family == ipv6 && via && (change_tail(skb, frame + 1, 0) || change_tail(skb, frame, 0)))
		return drop;

	__u64 sum = last->ports_sum, addresses = last->addresses_sum;
	if (via) {
		sum += via->ports_sum;
		addresses += via->addresses_sum;
	}
	if (via ? !renumber(skb, &p, last->channel) : last->to_client ? !cover(skb, &p, last->channel, &sum) : !uncover(skb, &p, &sum))
		return drop;
	__u64 length = (__u64)htons(size) + (__u16)~htons(p.size + udp_header);
	__u32 check = p.udp + __builtin_offsetof(struct udphdr, check);
	if (l4_csum_replace(skb, check, 0, fold(addresses + length), BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0) ||
	    l4_csum_replace(skb, check, 0, fold(sum + length), BPF_F_MARK_MANGLED_0))
		return drop;
	if (!write_udp(skb, last, p.udp, size))
		return drop;
	if (p.key.family == ipv4 ? !write_ipv4(skb, last, size) : !write_ipv6(skb, last, size))
		return drop;

	if (!last->hop_family)
		return redirect(last->interface, 0);
	struct bpf_redir_neigh hop = {.nh_family = last->hop_family};
	*(struct address *)hop.ipv6_nh = last->hop;
	return redirect_neigh(last->interface, &hop, sizeof(hop), 0);
}
