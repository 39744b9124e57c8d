/* Arguments: values that are good for a parameter's type, and the many ways in which they are bad. See bad_arguments.h.
 *
 * Each parameter has a slot: memory that nothing else uses, with pages on both sides that cannot be touched, so that a call that
 * writes too far is found at once. What a parameter points to lies in the first half of its slot, and what that points to in the
 * second. */
#include "bad_arguments.h"

/* ---- Random numbers ---- */

static uint64_t state;

void seed_random(unsigned seed) { state = seed * 0x9e3779b97f4a7c15ull + 0x1234567; }

static uint64_t random_number(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1dull;
}

unsigned random_below(unsigned limit) { return (unsigned)((random_number() >> 33) % limit); }

static uint64_t odd_number(void)
{
    static const uint64_t numbers[] = {
        0, 1, 2, 3, 4, 7, 8, 16, 24, 32, 39, 40, 41, 63, 64, 72, 127, 128, 255, 256, 0x1000, 0xfff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x20000, 0x40000,
        0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0xfffffffffffffffe, 0xffd7, 0xffd8,
    };
    if (CHANCE(20)) return random_number() >> random_below(64);
    return numbers[random_below(sizeof numbers / sizeof *numbers)];
}

static ULONG odd_flags(void)
{
    if (CHANCE(60)) return 0;
    if (CHANCE(60)) return 1u << random_below(32);
    return (ULONG)random_number();
}

/* ---- Memory ---- */

static unsigned char *slots[MOST_PARAMETERS];
static unsigned char *no_access, *read_only;
#define PAGE 4096u
/* What a call reaches from a bad address by offsets in structures lies in memory that cannot be touched, not in the program's. */
#define MOAT 0x100000u

/* The end of the slot that the address is in. */
static unsigned char *end_of_slot(unsigned char *address)
{
    for (unsigned i = 0; i < MOST_PARAMETERS; i++) if (address >= slots[i] && address < slots[i] + SLOT_SIZE) return slots[i] + SLOT_SIZE;
    return no_access;
}

static void *bad_address(unsigned char *good, size_t size)
{
    switch (random_below(9)) {
    case 0: return NULL;
    case 1: return (void *)(uintptr_t)(1 + random_below(0xfff));
    case 2: return (void *)(uintptr_t)0x8000000000000000;           /* not canonical */
    case 3: return (void *)(uintptr_t)(0xffff800000000000 + random_below(1 << 20));
    case 4: return (void *)(uintptr_t)(0xffffffffffffffff - random_below(64));
    case 5: return no_access + MOAT + random_below(PAGE);
    case 6: return read_only + random_below(64) * 8;
    case 7: return end_of_slot(good) - random_below((unsigned)size + 1);    /* its memory ends too early */
    default: return no_access + MOAT + PAGE - random_below((unsigned)size + 1);
    }
}

void make_slots(void)
{
    unsigned char *base;
    const size_t step = SLOT_SIZE + MOAT;

    no_access = pages(3 * MOAT, 0);
    read_only = pages(MOAT, 1);
    base = pages(MOST_PARAMETERS * step + MOAT, 0);
    for (unsigned i = 0; i < MOST_PARAMETERS; i++) {
        slots[i] = base + MOAT + i * step;
        make_writable(slots[i], SLOT_SIZE);
    }
}

/* ---- What pointers point to ---- */

/* Sometimes a pointer in a structure is bad, mostly it is good. */
static void *inner(void *good, size_t size) { return CHANCE(85) ? good : bad_address(good, size); }

static void make_sid(unsigned char *sid)
{
    memset(sid, 0, 68);
    sid[0] = CHANCE(90) ? 1 : (unsigned char)random_number();
    sid[1] = CHANCE(80) ? (unsigned char)(1 + random_below(2)) : (unsigned char)random_number();
    sid[7] = CHANCE(50) ? 22 : 1;
    sid[8] = 1;
}

static void make_string(UNICODE_STRING *string, unsigned char *room, int legacy)
{
    const struct nt_name *name = CHANCE(50) ? legacy ? &served_lpc : &served_alpc : legacy ? &pool.lpc_name : &pool.alpc_name;
    memcpy(room, name->characters, name->string.Length + 2u);
    string->Length = name->string.Length;
    string->MaximumLength = (USHORT)(string->Length + 2);
    string->Buffer = inner(room, string->Length);
    /* Names of nothing are the rule, or connects would wait for an answer too often. */
    if (CHANCE(name == &served_lpc || name == &served_alpc ? 20 : 90)) room[string->Length - 2] = 'x';
    if (CHANCE(10)) string->Length = (USHORT)odd_number();
    if (CHANCE(5)) for (unsigned i = 0; i < 64; i++) room[i] = (unsigned char)random_number();
}

static void make_quality(SECURITY_QUALITY_OF_SERVICE *quality)
{
    memset(quality, 0, sizeof *quality);
    quality->Length = CHANCE(90) ? sizeof *quality : (ULONG)odd_number();
    quality->ImpersonationLevel = (SECURITY_IMPERSONATION_LEVEL)(CHANCE(90) ? random_below(4) : (unsigned)odd_number());
    quality->ContextTrackingMode = (SECURITY_CONTEXT_TRACKING_MODE)(CHANCE(90) ? random_below(2) : (unsigned)odd_number());
}

static void make_object_attributes(OBJECT_ATTRIBUTES *attributes, unsigned char *room)
{
    UNICODE_STRING *name = (void *)room;
    memset(attributes, 0, sizeof *attributes);
    attributes->Length = CHANCE(90) ? sizeof *attributes : (ULONG)odd_number();
    if (CHANCE(10)) attributes->RootDirectory = some_handle();
    if (CHANCE(70)) { make_string(name, room + 64, 0); attributes->ObjectName = inner(name, sizeof *name); }
    attributes->Attributes = (CHANCE(70) ? OBJ_CASE_INSENSITIVE : odd_flags()) & ~OBJ_PROTECT_CLOSE;
    if (CHANCE(15)) {
        for (unsigned i = 0; i < 256; i++) room[2048 + i] = CHANCE(60) ? 0 : (unsigned char)random_number();
        room[2048] = 1;
        room[2051] = CHANCE(50) ? 0x80 : 0;
        attributes->SecurityDescriptor = inner(room + 2048, 40);
    }
    if (CHANCE(10)) { make_quality((void *)(room + 4096)); attributes->SecurityQualityOfService = inner(room + 4096, 12); }
}

static ULONG some_id(void)
{
    if (CHANCE(20)) return 0;
    if (CHANCE(75) && pool.id_count) return pool.ids[random_below(pool.id_count < 16 ? pool.id_count : 16)];
    if (CHANCE(40) && pool.reserve_count) return pool.reserves[random_below(pool.reserve_count)];
    return (ULONG)odd_number();
}

static void make_message(PORT_MESSAGE *message)
{
    unsigned length = CHANCE(80) ? random_below(400) : (unsigned)odd_number();
    unsigned char *body = (unsigned char *)(message + 1);

    memset(message, 0, sizeof *message);
    message->u1.s1.DataLength = (USHORT)length;
    message->u1.s1.TotalLength = (USHORT)(CHANCE(90) ? length + sizeof *message : odd_number());
    message->u2.s2.Type = (USHORT)(CHANCE(70) ? 0 : CHANCE(70) ? random_below(16) : random_number());
    if (CHANCE(10)) message->u2.s2.DataInfoOffset = (USHORT)(CHANCE(70) ? sizeof *message : odd_number());
    message->ClientId.UniqueProcess = (HANDLE)(uintptr_t)(CHANCE(50) ? own_process_id() : odd_number());
    message->ClientId.UniqueThread = (HANDLE)(uintptr_t)odd_number();
    message->MessageId = some_id();
    message->CallbackId = CHANCE(80) ? 0 : (ULONG)odd_number();
    for (unsigned i = 0; i < 64; i++) body[i] = (unsigned char)random_number();
    /* A data-information block */
    if (message->u2.s2.DataInfoOffset) { body[0] = 1; memset(body + 1, 0, 7); }
}

static void make_port_attributes(ALPC_PORT_ATTRIBUTES *attributes)
{
    memset(attributes, 0, sizeof *attributes);
    attributes->Flags = CHANCE(50) ? ALPC_PORFLG_ALLOW_LPC_REQUESTS : odd_flags();
    make_quality(&attributes->SecurityQos);
    attributes->MaxMessageLength = CHANCE(80) ? 0x1000 : odd_number();
    attributes->MaxPoolUsage = CHANCE(60) ? 0x10000 : odd_number();
    attributes->MaxSectionSize = attributes->MaxViewSize = attributes->MaxTotalSectionSize = CHANCE(60) ? 0x100000 : odd_number();
    attributes->DupObjectTypes = CHANCE(50) ? ALPC_PORFLG_OBJECT_TYPE_ALL : odd_flags();
}

static ALPC_HANDLE some_value(void)
{
    if (CHANCE(60) && pool.value_count) return pool.values[random_below(pool.value_count)];
    return (ALPC_HANDLE)(uintptr_t)odd_number();
}

static void make_view(ALPC_DATA_VIEW_ATTR *view)
{
    memset(view, 0, sizeof *view);
    view->Flags = CHANCE(60) ? 0 : CHANCE(60) ? 0x10000u << random_below(3) : odd_flags();
    view->SectionHandle = some_value();
    view->ViewBase = CHANCE(50) || !pool.view_count ? NULL : pool.views[random_below(pool.view_count)];
    if (CHANCE(10)) view->ViewBase = (PVOID)(uintptr_t)odd_number();
    view->ViewSize = CHANCE(70) ? 0x1000 : odd_number();
}

static void make_handle_record(ALPC_HANDLE_ATTR *record, unsigned char *room)
{
    memset(record, 0, sizeof *record);
    record->Flags = CHANCE(60) ? ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS : odd_flags();
    record->Handle = some_handle();
    record->ObjectType = CHANCE(70) ? 0 : odd_flags();
    record->DesiredAccess = odd_flags();
    if (CHANCE(30)) {
        ALPC_HANDLE_ATTR32 *array = (void *)room;
        for (unsigned i = 0; i < 8; i++) {
            array[i].Flags = CHANCE(80) ? ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS : odd_flags();
            array[i].Handle = (ULONG)(uintptr_t)some_handle();
            array[i].ObjectType = 0;
            array[i].DesiredAccess = odd_flags();
        }
        record->Flags = ALPC_HANDLEFLG_INDIRECT;
        record->HandleAttrArray = inner(array, sizeof *array);
        record->HandleCount = CHANCE(80) ? random_below(9) : (ULONG)odd_number();
    }
}

static void make_attribute_buffer(ALPC_MESSAGE_ATTRIBUTES *buffer, unsigned char *room)
{
    memset(buffer, 0, 512);
    buffer->AllocatedAttributes = CHANCE(70) ? (ULONG)random_number() & ALPC_MESSAGE_ATTRIBUTE_ALL : (ULONG)random_number();
    buffer->ValidAttributes = CHANCE(80) ? buffer->AllocatedAttributes & (ULONG)random_number() : (ULONG)random_number();
    for (unsigned bit = 31; bit >= 25; bit--) {
        void *record = AlpcGetMessageAttribute(buffer, 1u << bit);
        if (!record) continue;
        if (CHANCE(10)) { for (unsigned i = 0; i < 8; i++) ((unsigned char *)record)[i] = (unsigned char)random_number(); continue; }
        switch (1u << bit) {
        case ALPC_MESSAGE_SECURITY_ATTRIBUTE: {
            ALPC_SECURITY_ATTR *security = record;
            make_quality((void *)room);
            security->Flags = CHANCE(60) ? 0 : odd_flags();
            security->QoS = inner(room, sizeof(SECURITY_QUALITY_OF_SERVICE));
            security->ContextHandle = CHANCE(30) ? (ALPC_HANDLE)(intptr_t)-2 : some_value();
            break;
        }
        case ALPC_MESSAGE_VIEW_ATTRIBUTE: make_view(record); break;
        case ALPC_MESSAGE_HANDLE_ATTRIBUTE: make_handle_record(record, room + 1024); break;
        case ALPC_MESSAGE_DIRECT_ATTRIBUTE: ((ALPC_DIRECT_ATTR *)record)->Event = CHANCE(50) ? pool.events[0] : some_handle(); break;
        default: break;
        }
    }
}

static void make_information(unsigned char *buffer)
{
    HANDLE *handles = (void *)buffer;
    for (unsigned i = 0; i < 256; i++) buffer[i] = CHANCE(60) ? 0 : (unsigned char)random_number();
    switch (random_below(5)) {
    case 0: handles[0] = some_handle(); break;
    case 1: handles[1] = CHANCE(50) ? pool.completions[0] : some_handle(); break;
    case 2: make_sid(buffer); break;
    case 3: make_port_attributes((void *)buffer); break;
    default: {
        ALPC_PORT_COMPLETION_LIST_INFORMATION *list = (void *)buffer;
        list->Buffer = inner(pool.list, 0x20000);
        list->Size = CHANCE(60) ? 0x20000 : (ULONG)odd_number();
        list->ConcurrencyCount = 1;
    }
    }
}

/* A completion list that was scribbled over. Its numbers stay small: a list that says it is larger than its memory is a program's
 * own ruin. */
static void make_list(unsigned char *list)
{
    ULONG *numbers = (void *)(list + 8);
    for (unsigned i = 0; i < sizeof(ALPC_COMPLETION_LIST_HEADER); i++) list[i] = (unsigned char)random_number();
    for (unsigned i = 0; i < 9; i++) numbers[i] = CHANCE(50) ? numbers[i] % 0x20000 : (ULONG)(random_number() % 0x200) * 64;
}

/* ---- Callbacks ---- */

static VOID NTAPI callback(PTP_CALLBACK_INSTANCE instance, PVOID context, PTP_ALPC alpc) { (void)instance, (void)context, (void)alpc; }
static VOID NTAPI callback_ex(PTP_CALLBACK_INSTANCE instance, PVOID context, PTP_ALPC alpc, PVOID more) { (void)instance, (void)context, (void)alpc, (void)more; }

/* ---- Arguments ---- */

static int is(const struct parameter *parameter, const char *type) { return !strcmp(parameter->type, type); }

/* Fills the slot as a good argument of that type points to it; the size of what matters. */
static size_t fill_slot(const struct call *call, const struct parameter *parameter, unsigned char *slot)
{
    unsigned char *room = slot + SLOT_SIZE / 2;

    if (is(parameter, "PUNICODE_STRING")) { make_string((void *)slot, room, !strstr(call->name, "Alpc")); return sizeof(UNICODE_STRING); }
    if (is(parameter, "POBJECT_ATTRIBUTES")) { make_object_attributes((void *)slot, room); return sizeof(OBJECT_ATTRIBUTES); }
    if (is(parameter, "PSECURITY_QUALITY_OF_SERVICE")) { make_quality((void *)slot); return sizeof(SECURITY_QUALITY_OF_SERVICE); }
    if (is(parameter, "PPORT_MESSAGE")) { make_message((void *)slot); return sizeof(PORT_MESSAGE); }
    if (is(parameter, "PALPC_PORT_ATTRIBUTES")) { make_port_attributes((void *)slot); return sizeof(ALPC_PORT_ATTRIBUTES); }
    if (is(parameter, "PALPC_MESSAGE_ATTRIBUTES")) { make_attribute_buffer((void *)slot, room); return 160; }
    if (is(parameter, "PALPC_DATA_VIEW_ATTR")) { make_view((void *)slot); return sizeof(ALPC_DATA_VIEW_ATTR); }
    if (is(parameter, "PSID")) { make_sid(slot); return 12; }
    if (is(parameter, "PLARGE_INTEGER") && strcmp(parameter->name, "Timeout")) {
        ((LARGE_INTEGER *)(void *)slot)->QuadPart = CHANCE(70) ? !strcmp(parameter->name, "MaximumSize") ? 0x10000 : 0 : (long long)odd_number();
        return 8;
    }
    if (is(parameter, "PLARGE_INTEGER")) {
        ((LARGE_INTEGER *)(void *)slot)->QuadPart = CHANCE(70) ? 0 : CHANCE(60) ? -10 : CHANCE(50) ? 1 : -(long long)random_below(1000);
        return 8;
    }
    if (is(parameter, "PALPC_CONTEXT_ATTR")) {
        ALPC_CONTEXT_ATTR *context = (void *)slot;
        memset(context, 0, sizeof *context);
        context->MessageId = some_id();
        context->CallbackId = CHANCE(80) ? 0 : (ULONG)odd_number();
        context->MessageContext = (PVOID)(uintptr_t)(CHANCE(80) ? 0 : odd_number());
        return sizeof *context;
    }
    if (is(parameter, "PALPC_SECURITY_ATTR")) {
        ALPC_SECURITY_ATTR *security = (void *)slot;
        memset(security, 0, sizeof *security);
        make_quality((void *)room);
        security->Flags = CHANCE(70) ? 0 : odd_flags();
        security->QoS = inner(room, sizeof(SECURITY_QUALITY_OF_SERVICE));
        return sizeof *security;
    }
    if (is(parameter, "PPORT_VIEW")) {
        PORT_VIEW *view = (void *)slot;
        memset(view, 0, sizeof *view);
        view->Length = CHANCE(80) ? sizeof *view : (ULONG)odd_number();
        view->SectionHandle = CHANCE(70) ? pool.sections[0] : some_handle();
        view->SectionOffset = CHANCE(80) ? 0 : (ULONG)odd_number();
        view->ViewSize = CHANCE(70) ? 0x10000 : odd_number();
        return sizeof *view;
    }
    if (is(parameter, "PREMOTE_PORT_VIEW")) {
        memset(slot, 0, sizeof(REMOTE_PORT_VIEW));
        ((REMOTE_PORT_VIEW *)(void *)slot)->Length = CHANCE(80) ? sizeof(REMOTE_PORT_VIEW) : (ULONG)odd_number();
        return sizeof(REMOTE_PORT_VIEW);
    }
    if (is(parameter, "PSIZE_T") || is(parameter, "PULONG")) {
        uint64_t length = CHANCE(70) ? 0x1000 : odd_number() & 0x1ffff;
        memcpy(slot, &length, sizeof length);
        return is(parameter, "PSIZE_T") ? 8 : 4;
    }
    if (is(parameter, "PVOID*")) {
        uint64_t base = CHANCE(80) ? 0 : CHANCE(50) ? odd_number() : (uint64_t)(uintptr_t)slots[0];
        memcpy(slot, &base, sizeof base);
        return 8;
    }
    if (is(parameter, "HANDLE*")) {
        for (unsigned i = 0; i < 64; i++) ((HANDLE *)(void *)slot)[i] = CHANCE(50) ? pool.events[1] : some_handle();
        return 64;
    }
    if (is(parameter, "PALPC_WORK_ON_BEHALF_TICKET") || is(parameter, "PRTL_WORK_ON_BEHALF_TICKET_EX")) { memset(slot, 7, 16); return 16; }
    make_information(slot);
    return 64;
}

static int is_pointer(const struct call *call, const struct parameter *parameter)
{
    static const char *const values[] = { "PortContext", "Context", "Flags", "ViewBase", "ApcContext", "KeyContext", "BaseAddress" };
    if (parameter->type[0] != 'P' && !strchr(parameter->type, '*')) return 0;
    if (is(parameter, "PTP_ALPC") || is(parameter, "PTP_ALPC_CALLBACK") || is(parameter, "PTP_ALPC_CALLBACK_EX") || is(parameter, "PORT_INFORMATION_CLASS")) return 0;
    if (!is(parameter, "PVOID")) return 1;
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++) if (!strcmp(parameter->name, values[i])) return 0;
    (void)call;
    return 1;
}

/* The port that a call is likely to succeed on: a client's for what belongs to a port, a server's for what is done with messages. */
static HANDLE likely_port(const struct call *call)
{
    static const char *const of_client[] = { "Section", "SecurityContext", "ResourceReserve", "RequestWaitReply", "NtRequestPort" };
    static const char *const of_server[] = { "Message", "Sender", "Impersonate", "CompletionList", "TpAlloc", "Accept", "Listen", "RequestData" };
    const int legacy = !strstr(call->name, "Alpc");

    for (unsigned i = 0; i < sizeof of_client / sizeof *of_client; i++) if (strstr(call->name, of_client[i])) return pool.ports[legacy ? CHANCE(50) ? 8 : 10 : 2];
    for (unsigned i = 0; i < sizeof of_server / sizeof *of_server; i++) if (strstr(call->name, of_server[i])) return pool.ports[legacy ? 6 + random_below(2) : random_below(2)];
    return pool.ports[random_below(PORTS_OF_POOL)];
}

static uint64_t plain_value(const struct call *call, const struct parameter *parameter, int bad)
{
    /* What is done to other processes' handles is the system's own affair where there is a system. */
    if (ON_WINDOWS && !strcmp(call->kind, "wrapped") && is(parameter, "HANDLE"))
        return strstr(parameter->name, "Process") ? (uint64_t)-1 : (uint64_t)(uintptr_t)(bad ? pool.stale[0] : pool.ports[random_below(PORTS_OF_POOL)]);
    if (!strcmp(parameter->name, "FileHandle") && !bad && CHANCE(80)) return 0;
    if (strstr(parameter->name, "ProcessHandle") && !bad && CHANCE(80)) return (uint64_t)-1;
    if (strstr(parameter->name, "IoCompletionHandle") && !bad && CHANCE(80)) return (uint64_t)(uintptr_t)pool.completions[0];
    if (!strcmp(parameter->name, "SectionHandle") && is(parameter, "HANDLE") && !bad && CHANCE(60)) return (uint64_t)(uintptr_t)pool.sections[0];
    if (is(parameter, "HANDLE")) {
        if (bad || CHANCE(15)) return (uint64_t)(uintptr_t)some_handle();
        return (uint64_t)(uintptr_t)(CHANCE(70) ? likely_port(call) : pool.ports[random_below(PORTS_OF_POOL)]);
    }
    if (is(parameter, "ALPC_HANDLE")) return (uint64_t)(uintptr_t)some_value();
    if (is(parameter, "PTP_ALPC")) {
        PTP_ALPC alpc = pool.completions_of_pool[random_below(2)];
        return bad ? odd_number() & 0xfff : (uint64_t)(uintptr_t)alpc;
    }
    /* A wild callback would be called: that is the program's own fault. */
    if (is(parameter, "PTP_ALPC_CALLBACK")) return bad ? 0 : (uint64_t)(uintptr_t)callback;
    if (is(parameter, "PTP_ALPC_CALLBACK_EX")) return bad ? 0 : (uint64_t)(uintptr_t)callback_ex;
    if (strstr(parameter->type, "_INHERIT")) return 1 + random_below(2);
    if (strstr(parameter->name, "Protect") && CHANCE(70)) return PAGE_READWRITE;
    if (!strcmp(parameter->name, "AllocationAttributes") && CHANCE(70)) return SEC_COMMIT;
    if ((!strcmp(parameter->name, "AllocationType") || !strcmp(parameter->name, "ZeroBits") || !strcmp(parameter->name, "CommitSize")) && CHANCE(70)) return 0;
    if (!strcmp(parameter->name, "ViewBase") || !strcmp(parameter->name, "BaseAddress")) return !bad && pool.view_count ? (uint64_t)(uintptr_t)pool.views[random_below(pool.view_count)] : odd_number();
    if (strstr(parameter->name, "Flags") || !strcmp(parameter->name, "Options")) {
        uint64_t flags = CHANCE(30) ? ALPC_MSGFLG_RELEASE_MESSAGE << random_below(2) : odd_flags();
        return flags;
    }
    if (!strcmp(parameter->name, "HandleAttributes")) return odd_flags() & ~(uint64_t)OBJ_PROTECT_CLOSE;
    if (strstr(parameter->type, "CLASS")) return bad ? odd_number() : strstr(parameter->type, "MESSAGE") || !strstr(parameter->type, "ALPC") ? random_below(5) : random_below(14);
    if (is(parameter, "ACCESS_MASK")) return CHANCE(60) ? MAXIMUM_ALLOWED : odd_flags();
    if (is(parameter, "BOOLEAN")) return random_below(2) | (bad ? odd_number() << 8 : 0);
    if (!strcmp(parameter->name, "ResourceId") && pool.reserve_count && !bad) return pool.reserves[random_below(pool.reserve_count)];
    if (!bad && CHANCE(70)) {
        static const unsigned lengths[] = { 0, 4, 8, 12, 16, 20, 24, 32, 56, 72, 0x100, 0x1000 };
        if (!strcmp(parameter->name, "Length") || strstr(parameter->name, "Size") || !strcmp(parameter->name, "ObjectInformationLength")) return lengths[random_below(12)];
        if (!strcmp(parameter->name, "DataEntryIndex")) return random_below(2);
        if (!strcmp(parameter->name, "Count")) return random_below(5);
    }
    if (!strcmp(parameter->name, "SectionSize") && CHANCE(60)) return 0x10000;
    if (!strcmp(parameter->name, "MaxMessageLength") || !strcmp(parameter->name, "MaxConnectionInfoLength")) return bad ? odd_number() : 64;
    return odd_number();
}

void make_arguments(const struct call *call, uint64_t *arguments, unsigned bad)
{
    for (unsigned i = 0; i < call->count; i++) {
        const struct parameter *parameter = &call->parameters[i];
        const int make_bad = bad && random_below(call->count - i) < bad;
        unsigned char *slot = slots[i];
        size_t size;

        if (make_bad) bad--;
        if (!is_pointer(call, parameter)) { arguments[i] = plain_value(call, parameter, make_bad); continue; }
        if (!strcmp(parameter->name, "CompletionList") || is(parameter, "PALPC_COMPLETION_LIST_HEADER")) {
            make_list(slot);
            arguments[i] = (uint64_t)(uintptr_t)(make_bad ? bad_address(slot, 0x180) : CHANCE(70) ? pool.list : slot);
            continue;
        }
        size = fill_slot(call, parameter, slot);
        if (parameter->marks & PARAMETER_OUT && !(is(parameter, "PPORT_MESSAGE") || is(parameter, "PVOID"))) memset(slot, 0x5a, 16);
        arguments[i] = (uint64_t)(uintptr_t)slot;
        if (make_bad) {
            if (CHANCE(20)) {
                /* Good, but for its alignment. */
                unsigned off = 1 + random_below(7);
                memmove(slot + off, slot, size);
                arguments[i] = (uint64_t)(uintptr_t)(slot + off);
            } else arguments[i] = (uint64_t)(uintptr_t)bad_address(slot, size);
        } else if (parameter->marks & PARAMETER_OPTIONAL && CHANCE(40)) arguments[i] = 0;
        if (parameter->marks & PARAMETER_OUT && is(parameter, "PHANDLE") && good_output(i, arguments, 8)) memset(good_output(i, arguments, 8), 0x5a, 8);
        /* A duplicate that nobody is told of is NT's way, and would look like a leak. */
        if (!strcmp(parameter->name, "TargetHandle") && (!arguments[i] || ON_WINDOWS))
            arguments[i] = (uint64_t)(uintptr_t)(ON_WINDOWS ? slot : no_access + MOAT);
        /* Without a time a call may wait for ever, and some that the closing of ports does not end. */
        if (!strcmp(parameter->name, "Timeout") && !arguments[i] && (!strcmp(call->kind, "host") || !CHANCE(3))) {
            fill_slot(call, parameter, slot);
            arguments[i] = (uint64_t)(uintptr_t)slot;
        }
    }
}

void *good_output(unsigned parameter, const uint64_t *arguments, size_t size)
{
    unsigned char *address = (unsigned char *)(uintptr_t)arguments[parameter];
    if (address < slots[parameter] || address > slots[parameter] + SLOT_SIZE - size) return NULL;
    return address;
}
