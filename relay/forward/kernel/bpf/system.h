// What relay.c takes from the kernel, so that no library's header is needed: the
// helpers, by their numbers in linux/bpf.h, and how tables are declared (libbpf's
// conventions, which loaders know).

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#define SEC(name) __attribute__((section(name), used))
#define inline static __attribute__((always_inline)) inline
#define __uint(name, value) int (*name)[value]
#define __type(name, value) typeof(value) *name

#define htons(x) __builtin_bswap16(x)
#define ntohs(x) __builtin_bswap16(x)

static void *(*map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static __u64 (*now)(void) = (void *)BPF_FUNC_ktime_get_ns;
static __u64 (*coarse_now)(void) = (void *)BPF_FUNC_ktime_get_coarse_ns;
static long (*load_bytes)(const void *skb, __u32 offset, void *to, __u32 len) = (void *)BPF_FUNC_skb_load_bytes;
static long (*store_bytes)(struct __sk_buff *skb, __u32 offset, const void *from, __u32 len, __u64 flags) = (void *)BPF_FUNC_skb_store_bytes;
static long (*change_tail)(struct __sk_buff *skb, __u32 len, __u64 flags) = (void *)BPF_FUNC_skb_change_tail;
static __s64 (*csum_diff)(const void *from, __u32 from_size, const void *to, __u32 to_size, __u32 seed) = (void *)BPF_FUNC_csum_diff;
static long (*l4_csum_replace)(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags) = (void *)BPF_FUNC_l4_csum_replace;
static long (*redirect)(__u32 ifindex, __u64 flags) = (void *)BPF_FUNC_redirect;
static long (*redirect_neigh)(__u32 ifindex, struct bpf_redir_neigh *hop, int size, __u64 flags) = (void *)BPF_FUNC_redirect_neigh;
