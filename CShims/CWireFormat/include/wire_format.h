/* What two processes write into shared memory and over the control socket. Every size and offset is asserted in
 * layout_checks.c; the Swift twin is Transport/WireLayout.swift.
 *
 * A link joins one client process to one port of a server process:
 *   - the control socket (SEQPACKET): a hello, a welcome, then only "drain" and the hang-up;
 *   - the region: a sealed memory file made by the server's process, laid out below;
 *   - two eventfds, one for each direction, kicked by the producer of that direction and never read.
 *
 *      0  region header
 *    128  request doorbell (client to server)     256  request credit
 *    384  delivery doorbell (server to client)    512  delivery credit
 *    640  request notes                           768  delivery notes
 *   4096  request ring (RING_BYTES), then the delivery ring, then the reply slots
 *
 * A ring carries frames: a header of 32 bytes, then the payload, in whole units of 64 bytes, never across the ring's end. A frame
 * is there when its header shows the stamp of its position; the producer has cleared that word before the frame ahead of it
 * was published, so old payload is never taken for a stamp. One unit stays free for that. The consumer therefore reads the
 * frame's own line and no other to find it.
 * Both sides trust nothing they read here. */
#ifndef NTLPC_WIRE_FORMAT_H
#define NTLPC_WIRE_FORMAT_H

#include <stdint.h>

#define NTLPC_WIRE_MAGIC      0x43504C54u       /* "TLPC" */
#define NTLPC_WIRE_VERSION    1u
#define NTLPC_UNIT            64u
#define NTLPC_RING_BYTES      (256u * 1024u)
#define NTLPC_RING_UNITS      (NTLPC_RING_BYTES / NTLPC_UNIT)
#define NTLPC_MAX_PAYLOAD     65535u
#define NTLPC_SLOT_COUNT      256u
#define NTLPC_SLOT_STRIDE     (68u * 1024u)
#define NTLPC_NO_SLOT         0xFFFFu

#define NTLPC_REQUEST_DOORBELL   128u
#define NTLPC_REQUEST_CREDIT     256u
#define NTLPC_DELIVERY_DOORBELL  384u
#define NTLPC_DELIVERY_CREDIT    512u
#define NTLPC_REQUEST_NOTES      640u
#define NTLPC_DELIVERY_NOTES     768u
#define NTLPC_REQUEST_RING       4096u
#define NTLPC_DELIVERY_RING      (NTLPC_REQUEST_RING + NTLPC_RING_BYTES)
#define NTLPC_SLOTS              (NTLPC_DELIVERY_RING + NTLPC_RING_BYTES)
#define NTLPC_REGION_BYTES       (NTLPC_SLOTS + NTLPC_SLOT_COUNT * NTLPC_SLOT_STRIDE)

typedef struct ntlpc_region_header {
    uint32_t magic, version;
    uint32_t ring_bytes, slot_count, slot_stride;
} ntlpc_region_header;

/* Written by the producer. produced = position << 1 | armed: position counts units and wraps at 2^31; the consumer sets
 * armed before it sleeps, the producer's next exchange clears it and tells the producer to kick. */
typedef struct ntlpc_doorbell {
    uint32_t produced;
} ntlpc_doorbell;

/* Written by the producer, rarely. */
typedef struct ntlpc_notes {
    uint32_t cpu;           /* 1 + the processor the producer last ran on */
    uint32_t closings;      /* grows with each frame that closes a connection: the consumer looks ahead for it */
    uint32_t gone;          /* NTLPC_GONE_*: what the producer's process says of its own end */
} ntlpc_notes;

#define NTLPC_GONE_CLOSED  1u   /* it is closed */
#define NTLPC_GONE_FULL    2u   /* its queue has reached its limit: it takes no new messages now */

/* Written by the consumer. consumed = position << 1 | awaited: the producer sets awaited when the ring is full. */
typedef struct ntlpc_credit {
    uint32_t consumed;
} ntlpc_credit;

/* The header of a frame. With 32 bytes of payload it still fits one cache line. What the receiver knows itself is not sent: the
 * sender's process is the link's. */
typedef struct ntlpc_frame {
    uint32_t stamp;             /* position << 1 | 1, written last */
    uint32_t connection;        /* the client's number for the connection */
    uint32_t id;                /* of the message */
    uint32_t turn;              /* of the slot: a reply to an earlier turn is void */
    uint32_t sender;            /* the sending thread, as its world numbers it */
    uint32_t callback;          /* of the message that is answered */
    uint16_t payload_length;    /* in bytes */
    uint16_t reply_slot;        /* where the caller waits, or 0xFFFF */
    uint16_t info;              /* DataInfoOffset */
    uint8_t frame_kind;         /* NTLPC_FRAME_* */
    uint8_t frame_flags;        /* NTLPC_FRAMEFLAG_* */
} ntlpc_frame;

#define NTLPC_STAMP_OFFSET 0u

/* A reply slot starts with this; the payload follows. reply = turn << 2 | interrupted << 1 | waiting. */
typedef struct ntlpc_reply {
    uint32_t reply;
    uint32_t detail;            /* an NTSTATUS where the kind says so */
    uint32_t sender;
    uint32_t callback;
    uint16_t payload_length;
    uint16_t cpu;               /* 1 + the processor the server last ran on */
    uint16_t info;
    uint8_t frame_kind;
    uint8_t frame_flags;
    uint32_t reserved[2];
} ntlpc_reply;

#define NTLPC_REPLY_CPU_OFFSET 18u

/* Client to server */
#define NTLPC_FRAME_SKIP          0u    /* fills the ring up to its end */
#define NTLPC_FRAME_MESSAGE       1u    /* a request or datagram */
#define NTLPC_FRAME_ANSWER        2u    /* to a message that came from the other side */
#define NTLPC_FRAME_CANCEL        3u    /* the sender gives up the message named in the header */
#define NTLPC_FRAME_CONNECT       4u    /* payload: ntlpc_connect, then the connection message */
#define NTLPC_FRAME_CLOSE         5u    /* the connection is over */
#define NTLPC_FRAME_THREAD_DIED   6u    /* payload: 8 bytes of create time */
/* Server to client, besides MESSAGE, ANSWER, CANCEL and CLOSE */
#define NTLPC_FRAME_ACCEPTED      7u    /* payload: ntlpc_accepted, then the accept message */
#define NTLPC_FRAME_REFUSED       8u    /* payload: as ACCEPTED */
#define NTLPC_FRAME_TERMS        10u    /* both ways: the port's attributes have changed. payload: ntlpc_accepted */
#define NTLPC_FRAME_STATUS        9u    /* reply slots only: the request failed with the status in detail */

#define NTLPC_FRAMEFLAG_SYNC      1u    /* the sender waits */
#define NTLPC_FRAMEFLAG_RELEASE   2u    /* the message ends here: a datagram or a last reply */
#define NTLPC_FRAMEFLAG_LEGACY    4u    /* sent by an LPC call */
#define NTLPC_FRAMEFLAG_CALLBACK  8u    /* a question inside a request */
#define NTLPC_FRAMEFLAG_ATTACHED 16u    /* MESSAGE and ANSWER: the payload starts with an ntlpc_attached */
#define NTLPC_FRAMEFLAG_NO_IMPERSONATE 32u  /* MESSAGE: LPC_NO_IMPERSONATE (0x4000) of the sender's Type, shifted right by 9 */
#define NTLPC_FRAMEFLAG_RESERVED 64u    /* MESSAGE: sent with a resource reserve, whatever the receiver's queue holds */

/* A CANCEL frame without flags: the sender gave its message up and says no more of it (a time-out, the end of its thread). */
#define NTLPC_CANCEL_BY_SENDER    1u    /* NtAlpcCancelMessage by its sender: the receiver gets a notice */
#define NTLPC_CANCEL_BY_HOLDER    2u    /* NtAlpcCancelMessage by its receiver: the sender gets a notice */
#define NTLPC_CANCEL_ANSWER_LOST  8u    /* the answer to it arrived, and nobody took it */

/* What a message carries besides bytes. Descriptors and handles travel over the control socket, in a parcel that is sent before
 * the frame that names it. */
typedef struct ntlpc_attached {
    uint32_t attributes;            /* ALPC_MESSAGE_*_ATTRIBUTE bits that the sender attached */
    uint32_t parcel;                /* serial number of its parcel in this direction, or 0 */
    uint32_t handle_count;
    uint32_t view_flags;            /* ALPC_VIEWFLG_* */
    uint64_t view_size;
    uint32_t context;               /* security context, or 0 */
    uint32_t qos;                   /* of that context: level | tracking << 4 | effective only << 5 */
    uint64_t ticket;                /* work on behalf */
} ntlpc_attached;

typedef struct ntlpc_connect {
    uint32_t port_flags;            /* of the client's port attributes */
    uint32_t max_message_length;
    uint32_t impersonation_level;
    uint32_t context_tracking;
    uint32_t effective_only;
    uint32_t dup_object_types;      /* that the client's port takes in handle attributes */
    uint64_t nt_process;            /* as the client's world numbers it */
    uint32_t parcel;                /* LPC: with the client's view, or 0 */
    uint32_t reserved;
} ntlpc_connect;

typedef struct ntlpc_accepted {
    uint32_t port_flags;            /* of the server's communication port */
    uint32_t max_message_length;
    uint32_t max_connect_info;      /* LPC */
    uint32_t dup_object_types;
    uint64_t remote_base;           /* LPC: where the server has mapped the client's view, or 0 */
} ntlpc_accepted;

/* Control socket */
#define NTLPC_CONTROL_HELLO    1u
#define NTLPC_CONTROL_WELCOME  2u
#define NTLPC_CONTROL_DRAIN    3u   /* the ring towards the receiver is full: take everything out of it */
#define NTLPC_CONTROL_PARCEL   4u   /* an ntlpc_parcel with its items, and their descriptors */
#define NTLPC_CONTROL_DATA     5u   /* an ntlpc_data_request, or the answer to one, and its bytes */

typedef struct ntlpc_control {
    uint32_t magic, version, kind;
    int32_t status;                 /* welcome: 0, or why not, as an NTSTATUS */
    uint32_t link;                  /* welcome: the server's number for the link, part of message ids */
    uint32_t port_flags;            /* welcome: of the connection port */
    uint32_t max_message_length;
    uint32_t max_connect_info;
    uint32_t world;                 /* NTLPC_WORLD_* of the sender */
    uint32_t reserved;
    uint64_t nt_process;
    uint64_t session;               /* of the sender: who has the same, not 0, can be given handles */
} ntlpc_control;

/* One packet of a parcel: the first items that 253 descriptors suffice for. */
#define NTLPC_PARCEL_ITEMS     250u
#define NTLPC_ITEM_HANDLE      1u   /* a handle: a descriptor, or a value of the receiver's process */
#define NTLPC_ITEM_VIEW        2u   /* a view: descriptor of a sealed memory file; of an LPC connection: size in object_type and access */
#define NTLPC_ITEM_DIRECT      3u   /* the event of a DIRECT attribute */
#define NTLPC_ITEM_HAS_DESCRIPTOR 1u

typedef struct ntlpc_parcel_item {
    uint16_t kind, flags;           /* NTLPC_ITEM_* */
    uint32_t object_type;           /* ALPC_PORFLG_OBJECT_TYPE_* */
    uint32_t access;
    uint32_t attributes;
    uint64_t value;                 /* a handle without descriptor: its value at the receiver; a view: its offset */
} ntlpc_parcel_item;

typedef struct ntlpc_parcel {
    uint32_t magic, version, kind;
    uint32_t serial;
    uint32_t first, total;          /* number of the first item in this packet, and of all */
    uint32_t count;                 /* items in this packet, which follow */
    uint32_t reserved;
} ntlpc_parcel;

/* One process asks the other, whose watcher answers: one question at a time in each direction of a link. NtReadRequestData and
 * NtWriteRequestData: the server asks, the client's process copies, at most NTLPC_DATA_BYTES in one piece; a WRITE and the answer
 * to a READ end with the bytes. NtAlpcCancelMessage: the sender of a message asks whether it can still be had back. */
#define NTLPC_DATA_BYTES       32768u
#define NTLPC_DATA_READ        1u
#define NTLPC_DATA_WRITE       2u
#define NTLPC_DATA_ANSWER      3u
#define NTLPC_DATA_CANCEL      4u
#define NTLPC_DATA_MAP         5u   /* LPC: map the view in the parcel of serial number `offset`; answer: 8 bytes, its address */

typedef struct ntlpc_data_request {
    uint32_t magic, version, kind;
    uint32_t serial;
    uint32_t operation;             /* NTLPC_DATA_* */
    uint32_t message;               /* id of the request whose sender waits */
    uint32_t entry;                 /* which of its data entries; CANCEL: the number of the connection */
    uint32_t length;                /* bytes asked for, or in the answer copied; CANCEL: ALPC_CANCELFLG_TRY_CANCEL or 0 */
    uint64_t offset;                /* in the entry */
    int32_t status;                 /* answer: an NTSTATUS */
    uint32_t total;                 /* bytes that the whole call is about, of which this is a piece */
} ntlpc_data_request;

#endif
