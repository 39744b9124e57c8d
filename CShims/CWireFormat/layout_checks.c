/* The wire format's sizes and offsets, so that a change is never an accident: it needs a new NTLPC_WIRE_VERSION. */
#include "wire_format.h"
#include <stddef.h>

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#define AT(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field)

SIZE(ntlpc_region_header, 20);
SIZE(ntlpc_doorbell, 4);
SIZE(ntlpc_notes, 12);
AT(ntlpc_notes, cpu, 0);
AT(ntlpc_notes, closings, 4);
AT(ntlpc_notes, gone, 8);
SIZE(ntlpc_credit, 4);
SIZE(ntlpc_frame, 64);
AT(ntlpc_frame, length, 0);
AT(ntlpc_frame, kind, 4);
AT(ntlpc_frame, flags, 6);
AT(ntlpc_frame, connection, 8);
AT(ntlpc_frame, slot, 12);
AT(ntlpc_frame, turn, 16);
AT(ntlpc_frame, stamp, NTLPC_STAMP_OFFSET);
AT(ntlpc_frame, header, 24);
SIZE(ntlpc_reply, 64);
AT(ntlpc_reply, reply, 0);
AT(ntlpc_reply, cpu, 4);
AT(ntlpc_reply, length, 8);
AT(ntlpc_reply, kind, 12);
AT(ntlpc_reply, flags, 14);
AT(ntlpc_reply, detail, 16);
AT(ntlpc_reply, connection, 20);
AT(ntlpc_reply, header, 24);
SIZE(ntlpc_connect, 40);
SIZE(ntlpc_accepted, 16);
SIZE(ntlpc_control, 48);
_Static_assert(NTLPC_SLOT_STRIDE >= sizeof(ntlpc_reply) + NTLPC_MAX_PAYLOAD, "a slot holds the largest reply");
_Static_assert(NTLPC_RING_BYTES > 2 * (sizeof(ntlpc_frame) + NTLPC_MAX_PAYLOAD), "a ring holds the largest frame beside a skip");
