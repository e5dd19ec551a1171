// The tables that the relay fills and the program reads. Ports, channels and addresses
// are in the order of the network. The relay has the same structures (flow_linux.go,
// memory_linux.go).

enum {
	max_datagram = 1600, // of UDP, as the sockets' path has it
	max_padding = 252,   // behind ChannelData, as much as csum_diff can take at once
};

// address has an IPv4 address in its first word.
struct address {
	__be32 words[4];
};

// key is how a packet comes in. The channel is 0 on the way to a client.
struct key {
	struct address source, destination;
	__be16 source_port, destination_port;
	__be16 channel;
	__u16 family;
};

// leg is how a packet goes out.
struct leg {
	struct address source, destination;
	// hop is the next hop on the interface; hop_family is 0 when the destination is
	// this machine, and the interface lo, or 0 when no interface will do.
	struct address hop;
	__u32 hop_family;
	__u32 interface;
	__u32 mtu; // of the network layer
	__u32 count;
	__u32 meters[2]; // 0 is none
	// By how much the change of addresses, and that of ports together with the
	// channel's number, changes the sum of 16-bit words.
	__u32 addresses_sum, ports_sum;
	__be32 flow_label;
	__be16 source_port, destination_port;
	__be16 channel; // to the client
	__u16 to_client;
};

// count is what went by one leg.
struct count {
	__u64 packets, bytes;
	__u64 over; // packets that a meter did not let pass
	__u64 pad[5];
};

// meter is a bandwidth limit by the generic cell rate algorithm, as in the relay:
// due is when all that has passed will have been paid for, a byte takes cost/65536
// nanoseconds, and burst is how far due may lie ahead. The program and the sockets'
// path take from the same meters.
struct meter {
	__u64 due, cost, burst;
	__u64 pad[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct key);
	__type(value, struct leg);
} legs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct count);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct meter);
} meters SEC(".maps");

// lease is until when the program may forward, by the monotonic clock. The relay
// prolongs it while it lives and its timers run: bindings end by them.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lease SEC(".maps");

// scratch is where a payload is while its place in the packet changes.
struct scratch {
	__u8 bytes[max_datagram + max_padding + 12]; // all that the verifier thinks possible
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");
