// The programs of the generator and of its sink (doc.go). emit is run by the system call
// BPF_PROG_RUN with live frames: again and again, with a frame that it fills and sends.
// count is attached to where frames come in, and keeps them from going on.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#define SEC(name) __attribute__((section(name), used))
#define inline static __attribute__((always_inline)) inline
#define __uint(name, value) int (*name)[value]
#define __type(name, value) typeof(value) *name

static void *(*map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static __u64 (*now)(void) = (void *)BPF_FUNC_ktime_get_ns;
static long (*redirect)(__u32 ifindex, __u64 flags) = (void *)BPF_FUNC_redirect;

enum {
	headers = ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr) + 4,
	ports = 1 << 16,
};

// flow is the beginning of a flow's frames, the rest of which is zero.
struct flow {
	__u8 headers[headers];
	__u16 pad;
	__u64 sent;
};

// pace says when frames are due: the n-th at start + n/rate, until duration has passed.
// One that cannot be sent within depth frames of its time is left out, as it would only
// come as part of a burst. start is when the program runs first, by the monotonic clock.
struct pace {
	__u64 start, duration; // in nanoseconds
	__u64 rate;            // frames in a nanosecond, times 2^32
	__u64 position, skipped;
	__u32 flows, depth, interface, pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pace);
} paces SEC(".maps");

// counts are the frames that have come to the sink, by flow.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, ports);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

SEC("xdp")
int emit(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0;
	struct pace *p = map_lookup(&paces, &zero);
	if (!p || !p->flows || data + headers > end)
		return XDP_ABORTED;
	__u64 at = now();
	if (!p->start)
		p->start = at;
	if (at - p->start > p->duration)
		return XDP_DROP;
	__u64 due = ((at - p->start) * p->rate) >> 32;
	if (p->position >= due)
		return XDP_DROP;
	if (due - p->position > p->depth) {
		p->skipped += due - p->position - p->depth;
		p->position = due - p->depth;
	}
	__u32 number = p->position++ % p->flows;
	struct flow *f = map_lookup(&flows, &number);
	if (!f)
		return XDP_ABORTED;
	__builtin_memcpy(data, f->headers, headers);
	f->sent++;
	return redirect(p->interface, 0);
}

// tally counts frames, and says whether they are the sink's.
inline int tally(struct __sk_buff *skb, int by_address)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct udphdr *udp = (void *)(ip + 1);
	__u8 *payload = (void *)(udp + 1);
	if ((void *)(payload + 1) > end || skb->protocol != __builtin_bswap16(ETH_P_IP) || ip->ihl != 5 || ip->protocol != IPPROTO_UDP)
		return -1; // TCX_NEXT
	// What is for clients may be an answer, which is not ChannelData.
	if (by_address && (*payload & 0xc0) != 0x40)
		return -1;
	__u32 number = by_address ? __builtin_bswap32(ip->daddr) & 0xffff : __builtin_bswap16(udp->source);
	__u64 *count = map_lookup(&counts, &number);
	if (count)
		__sync_fetch_and_add(count, skb->gso_segs > 1 ? skb->gso_segs : 1);
	return 2; // TCX_DROP
}

// By the port of the relay, which is a flow's own.
SEC("tcx/ingress")
int count_at_peers(struct __sk_buff *skb) { return tally(skb, 0); }

// By the address of the client, which is a flow's own.
SEC("tcx/ingress")
int count_at_clients(struct __sk_buff *skb) { return tally(skb, 1); }
