/* Port sections, views of them, and the VIEW attribute that lends a view to the receiver. */
#include "surface.h"

static ALPC_HANDLE make_section(HANDLE port, SIZE_T size, ULONG flags)
{
    ALPC_HANDLE section = NULL;
    SIZE_T actual = 0;
    EXPECT(NtAlpcCreatePortSection(port, flags, NULL, size, &section, &actual), STATUS_SUCCESS);
    HOLDS(section && actual >= size && actual % 0x10000 == 0);
    return section;
}

static ALPC_DATA_VIEW_ATTR make_view(HANDLE port, ALPC_HANDLE section, SIZE_T size, ULONG flags)
{
    ALPC_DATA_VIEW_ATTR view;
    memset(&view, 0, sizeof view);
    view.Flags = flags;
    view.SectionHandle = section;
    view.ViewSize = size;
    EXPECT(NtAlpcCreateSectionView(port, 0, &view), STATUS_SUCCESS);
    HOLDS(view.ViewBase && view.ViewSize >= size);
    return view;
}

static void put_view(struct attributes *attributes, const ALPC_DATA_VIEW_ATTR *view)
{
    make_attributes(attributes, ALPC_MESSAGE_VIEW_ATTRIBUTE);
    *view_attribute(attributes) = *view;
    attributes->header.ValidAttributes = ALPC_MESSAGE_VIEW_ATTRIBUTE;
}

static void fill(void *base, size_t size, unsigned seed)
{
    unsigned char *bytes = base;
    for (size_t i = 0; i < size; i += 97) bytes[i] = (unsigned char)(i / 97 + seed);
}

static int filled(const void *base, size_t size, unsigned seed)
{
    const unsigned char *bytes = base;
    for (size_t i = 0; i < size; i += 97) if (bytes[i] != (unsigned char)(i / 97 + seed)) return 0;
    return 1;
}

/* ---- Sections ---- */

static void create_section(void)
{
    struct scene scene;
    ALPC_HANDLE section = NULL;
    SIZE_T actual = 0;

    usual_scene(&scene);
    EXPECT(NtAlpcCreatePortSection(scene.k, 0, NULL, 1, &section, &actual), STATUS_SUCCESS);
    SAME(actual, 0x10000);
    HOLDS(section);
    EXPECT(NtAlpcDeletePortSection(scene.k, 0, section), STATUS_SUCCESS);
    EXPECT(NtAlpcDeletePortSection(scene.k, 0, section), STATUS_INVALID_HANDLE);
    section = make_section(scene.c, 0x10001, 0);
    section = make_section(scene.s, 0x10000, ALPC_CREATEPORTSECTIONFLG_SECURE);
    {
        HANDLE lonely = NULL;
        EXPECT(NtAlpcCreatePort(&lonely, NULL, &scene.server), STATUS_SUCCESS);
        keep(lonely);
        make_section(lonely, 1, 0);
    }
}

static void create_over_section(void)
{
    struct scene scene;
    HANDLE object = new_section(0x10000);
    ALPC_HANDLE section = NULL;
    SIZE_T actual = 0;
    ALPC_DATA_VIEW_ATTR view;
    char *mapped;

    usual_scene(&scene);
    mapped = map_section(object, 0x10000, 1);
    EXPECT(NtAlpcCreatePortSection(scene.k, 0, object, 0x10000, &section, &actual), STATUS_SUCCESS);
    view = make_view(scene.k, section, 0x4000, 0);
    memcpy(mapped, "shared", 7);
    HOLDS(!memcmp(view.ViewBase, "shared", 7));
}

static void create_section_fails(void)
{
    struct scene scene;
    ALPC_HANDLE section = NULL;
    SIZE_T actual = 0;
    HANDLE event = new_event(0), object = new_section(0x10000);

    usual_scene(&scene);
    EXPECT(NtAlpcCreatePortSection(scene.k, 0, NULL, 0, &section, &actual), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcCreatePortSection(scene.k, 1, NULL, 1, &section, &actual), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcCreatePortSection(scene.k, ALPC_CREATEPORTSECTIONFLG_SECURE, object, 0x10000, &section, &actual), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcCreatePortSection(scene.k, ALPC_CREATEPORTSECTIONFLG_SECURE, NULL, 0, &section, &actual), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcCreatePortSection(scene.k, 0, NULL, 1, NULL, &actual), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcCreatePortSection(scene.k, 0, NULL, 1, &section, NULL), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcCreatePortSection(event, 0, NULL, 1, &section, &actual), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcCreatePortSection((HANDLE)(uintptr_t)0xdead0, 0, NULL, 1, &section, &actual), STATUS_INVALID_HANDLE);
    EXPECT(NtAlpcCreatePortSection(scene.k, 0, event, 0x1000, &section, &actual), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcCreatePortSection(scene.k, 0, (HANDLE)(uintptr_t)0xdead0, 0x1000, &section, &actual), STATUS_INVALID_HANDLE);
    HOLDS(!section && !actual);
}

static void section_limits(void)
{
    struct scene scene;
    ALPC_HANDLE section = NULL;
    SIZE_T actual = 0;
    ALPC_DATA_VIEW_ATTR view;

    prepare_scene(&scene);
    scene.client.MaxSectionSize = 0x20000;
    scene.client.MaxTotalSectionSize = 0x30000;
    scene.client.MaxViewSize = 0x8000;
    connect_scene(&scene);
    EXPECT(NtAlpcCreatePortSection(scene.k, 0, NULL, 0x20001, &section, &actual), STATUS_SECTION_TOO_BIG, STATUS_QUOTA_EXCEEDED);
    section = make_section(scene.k, 0x20000, 0);
    EXPECT_ERROR(NtAlpcCreatePortSection(scene.k, 0, NULL, 0x20000, &section, &actual));
    memset(&view, 0, sizeof view);
    view.SectionHandle = section;
    view.ViewSize = 0x10000;
    EXPECT_ERROR(NtAlpcCreateSectionView(scene.k, 0, &view));
    make_view(scene.k, section, 0x8000, 0);
}

static void delete_section_fails(void)
{
    struct scene scene, other;
    ALPC_HANDLE section;

    usual_scene(&scene);
    usual_scene(&other);
    section = make_section(scene.k, 1, 0);
    EXPECT(NtAlpcDeletePortSection(scene.k, 1, section), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcDeletePortSection(scene.k, 0, (ALPC_HANDLE)(uintptr_t)0x5555), STATUS_INVALID_HANDLE);
    EXPECT_ERROR(NtAlpcDeletePortSection(other.k, 0, section));
    EXPECT(NtAlpcDeletePortSection(new_event(0), 0, section), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcDeletePortSection((HANDLE)(uintptr_t)0xdead0, 0, section), STATUS_INVALID_HANDLE);
    EXPECT(NtAlpcDeletePortSection(scene.k, 0, section), STATUS_SUCCESS);
}

/* ---- Views ---- */

static void create_view(void)
{
    struct scene scene;
    ALPC_HANDLE section;
    ALPC_DATA_VIEW_ATTR view;
    char *base;

    usual_scene(&scene);
    section = make_section(scene.k, 0x10000, 0);
    view = make_view(scene.k, section, 4096, 0);
    base = view.ViewBase;
    memset(base, 0x5a, 4096);
    EXPECT(NtAlpcDeletePortSection(scene.k, 0, section), STATUS_SUCCESS);
    SAME(base[4095], 0x5a);         /* a view outlives its section's handle */
    EXPECT(NtAlpcDeleteSectionView(scene.k, 0, base), STATUS_SUCCESS);
    HOLDS(!can_read(base));
    EXPECT(NtAlpcDeleteSectionView(scene.k, 0, base), STATUS_INVALID_PARAMETER);
}

static void create_view_fails(void)
{
    struct scene scene;
    ALPC_DATA_VIEW_ATTR good, view;

    usual_scene(&scene);
    memset(&good, 0, sizeof good);
    good.SectionHandle = make_section(scene.k, 0x10000, 0);
    good.ViewSize = 0x1000;
    view = good;
    EXPECT(NtAlpcCreateSectionView(scene.k, 1, &view), STATUS_INVALID_PARAMETER);
    view.ViewBase = &view;
    EXPECT(NtAlpcCreateSectionView(scene.k, 0, &view), STATUS_INVALID_PARAMETER);
    view = good;
    view.Flags = 0x80000;
    EXPECT(NtAlpcCreateSectionView(scene.k, 0, &view), STATUS_INVALID_PARAMETER);
    view = good;
    view.ViewSize = 0x10001;
    EXPECT_ERROR(NtAlpcCreateSectionView(scene.k, 0, &view));
    view = good;
    view.ViewSize = 0;
    EXPECT_ERROR(NtAlpcCreateSectionView(scene.k, 0, &view));
    view = good;
    view.SectionHandle = (ALPC_HANDLE)(uintptr_t)0x5555;
    EXPECT(NtAlpcCreateSectionView(scene.k, 0, &view), STATUS_INVALID_HANDLE);
    view = good;
    EXPECT(NtAlpcCreateSectionView(new_event(0), 0, &view), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcCreateSectionView((HANDLE)(uintptr_t)0xdead0, 0, &view), STATUS_INVALID_HANDLE);
    EXPECT(NtAlpcCreateSectionView(scene.k, 0, NULL), STATUS_ACCESS_VIOLATION);
    EXPECT(NtAlpcCreateSectionView(scene.k, 0, pages(4096, 1)), STATUS_ACCESS_VIOLATION);
}

static void delete_view_fails(void)
{
    struct scene scene;

    usual_scene(&scene);
    EXPECT(NtAlpcDeleteSectionView(scene.k, 0, &scene), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcDeleteSectionView(scene.k, 0, NULL), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcDeleteSectionView(scene.k, 1, NULL), STATUS_INVALID_PARAMETER);
    EXPECT(NtAlpcDeleteSectionView(new_event(0), 0, &scene), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(NtAlpcDeleteSectionView((HANDLE)(uintptr_t)0xdead0, 0, &scene), STATUS_INVALID_HANDLE);
}

/* ---- The attribute ---- */

/* A synchronous request with a view of `size` bytes; the server sees it. */
static void round_trip(SIZE_T size, ULONG section_flags, ULONG view_flags)
{
    struct scene scene;
    struct attributes *sent = keep_memory(sizeof *sent), received;
    struct request *request;
    struct message message;
    ALPC_DATA_VIEW_ATTR view, *seen;

    usual_scene(&scene);
    view = make_view(scene.k, make_section(scene.k, size, section_flags), size, view_flags);
    fill(view.ViewBase, size, 3);
    put_view(sent, &view);
    request = start_request_with(scene.k, 4, 1, sent, NULL);
    make_attributes(&received, ALPC_MESSAGE_VIEW_ATTRIBUTE | ALPC_MESSAGE_CONTEXT_ATTRIBUTE);
    take(scene.c, &message, &received, LPC_REQUEST);
    HOLDS(received.header.ValidAttributes & ALPC_MESSAGE_VIEW_ATTRIBUTE);
    seen = view_attribute(&received);
    HOLDS(seen->ViewBase && !seen->SectionHandle);
    SAME(seen->ViewSize, size);
    SAME(seen->Flags & 0x40000, view_flags & 0x40000);
    HOLDS(filled(seen->ViewBase, size, 3));
    if (view_flags & 0x40000) HOLDS(!can_write(view.ViewBase));
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
}

static void view_plain(void) { round_trip(0x4000, 0, 0); }
static void view_page(void) { round_trip(4096, 0, 0); }
static void view_large(void) { round_trip(64u << 20, 0, 0); }
static void view_secure(void) { round_trip(0x4000, ALPC_CREATEPORTSECTIONFLG_SECURE, 0x40000); }

/* The server writes into the view and the client sees it: the same memory, not a copy. */
static void view_is_shared(void)
{
    struct scene scene;
    struct attributes *sent = keep_memory(sizeof *sent), received;
    struct request *request;
    struct message message;
    ALPC_DATA_VIEW_ATTR view;

    usual_scene(&scene);
    view = make_view(scene.k, make_section(scene.k, 0x10000, 0), 0x10000, 0);
    put_view(sent, &view);
    request = start_request_with(scene.k, 4, 1, sent, NULL);
    make_attributes(&received, ALPC_MESSAGE_VIEW_ATTRIBUTE);
    take(scene.c, &message, &received, LPC_REQUEST);
    fill(view_attribute(&received)->ViewBase, 0x10000, 8);
    EXPECT(NtAlpcDeleteSectionView(scene.c, 0, view_attribute(&received)->ViewBase), STATUS_SUCCESS);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
    HOLDS(filled(view.ViewBase, 0x10000, 8));
}

static void view_in_flight(void)
{
    struct scene scene;
    struct attributes sent, received;
    struct message message;
    ALPC_DATA_VIEW_ATTR view;
    ALPC_HANDLE section;

    usual_scene(&scene);
    section = make_section(scene.k, 0x10000, ALPC_CREATEPORTSECTIONFLG_SECURE);
    view = make_view(scene.k, section, 0x1000, 0x40000);
    fill(view.ViewBase, 0x1000, 5);
    view.Flags = 0x60000;
    put_view(&sent, &view);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, &sent), STATUS_SUCCESS);
    EXPECT(NtAlpcDeletePortSection(scene.k, 0, section), STATUS_SUCCESS);
    make_attributes(&received, ALPC_MESSAGE_VIEW_ATTRIBUTE);
    take(scene.c, &message, &received, LPC_DATAGRAM);
    SAME(flags_of(&message), LPC_CONTINUATION_REQUIRED);
    SAME(view_attribute(&received)->Flags & 0x40000, 0x40000);
    HOLDS(filled(view_attribute(&received)->ViewBase, 0x1000, 5));
    {
        /* Answered with an unmapping view: the client sees nothing of it. */
        struct attributes answer;
        struct message reply;
        void *base = view_attribute(&received)->ViewBase;
        make_attributes(&answer, ALPC_MESSAGE_VIEW_ATTRIBUTE);
        view_attribute(&answer)->Flags = ALPC_VIEWFLG_UNMAP_EXISTING;
        answer.header.ValidAttributes = ALPC_MESSAGE_VIEW_ATTRIBUTE;
        answer_message(&reply, message.header.MessageId, 0, 0);
        EXPECT(send_message(scene.c, ALPC_MSGFLG_RELEASE_MESSAGE, &reply, &answer), STATUS_SUCCESS);
        HOLDS(!can_read(base));
        EXPECT(poll_message(scene.k, &reply, NULL), STATUS_TIMEOUT);
    }
}

static void view_released_by_reply(void)
{
    struct scene scene;
    struct attributes *sent = keep_memory(sizeof *sent), received, answer;
    struct request *request;
    struct message message, reply;
    ALPC_DATA_VIEW_ATTR view;
    void *base;

    usual_scene(&scene);
    make_attributes(&answer, ALPC_MESSAGE_VIEW_ATTRIBUTE);
    view_attribute(&answer)->Flags = ALPC_VIEWFLG_UNMAP_EXISTING;
    answer.header.ValidAttributes = ALPC_MESSAGE_VIEW_ATTRIBUTE;
    for (unsigned with_view = 0; with_view < 2; with_view++) {
        if (with_view) {
            view = make_view(scene.k, make_section(scene.k, 0x10000, 0), 0x1000, 0);
            put_view(sent, &view);
        }
        request = start_request_with(scene.k, 4, 1, with_view ? sent : NULL, NULL);
        make_attributes(&received, ALPC_MESSAGE_VIEW_ATTRIBUTE);
        take(scene.c, &message, &received, LPC_REQUEST);
        base = with_view ? view_attribute(&received)->ViewBase : NULL;
        HOLDS(!with_view || can_read(base));
        answer_message(&reply, message.header.MessageId, 0, 0);
        EXPECT(send_message(scene.c, ALPC_MSGFLG_RELEASE_MESSAGE, &reply, &answer), STATUS_SUCCESS);
        EXPECT(finish_request(request), STATUS_SUCCESS);
        HOLDS(!base || !can_read(base));
    }
}

static void view_auto_release(void)
{
    struct scene scene;
    struct attributes sent, received;
    struct message message;
    ALPC_DATA_VIEW_ATTR view;

    usual_scene(&scene);
    view = make_view(scene.k, make_section(scene.k, 0x10000, 0), 0x1000, 0);
    view.Flags = ALPC_VIEWFLG_AUTO_RELEASE;
    put_view(&sent, &view);
    fill_message(&message, 4, 1);
    EXPECT(send_message(scene.k, ALPC_MSGFLG_RELEASE_MESSAGE, &message, &sent), STATUS_SUCCESS);
    make_attributes(&received, ALPC_MESSAGE_VIEW_ATTRIBUTE);
    take(scene.c, &message, &received, LPC_DATAGRAM);
    EXPECT(NtAlpcDeleteSectionView(scene.c, 0, view_attribute(&received)->ViewBase), STATUS_SUCCESS);
    EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
    EVENTUALLY(!can_read(view.ViewBase));
    EXPECT(NtAlpcDeleteSectionView(scene.k, 0, view.ViewBase), STATUS_INVALID_PARAMETER);
}

static void view_in_reply(void)
{
    struct scene scene;
    struct attributes sent, *received = keep_memory(sizeof *received);
    struct request *request;
    struct message message, reply;
    ALPC_DATA_VIEW_ATTR view;

    usual_scene(&scene);
    make_attributes(received, ALPC_MESSAGE_VIEW_ATTRIBUTE);
    request = start_request_with(scene.k, 4, 1, NULL, received);
    take(scene.c, &message, NULL, LPC_REQUEST);
    view = make_view(scene.s, make_section(scene.s, 0x10000, 0), 0x2000, 0);
    fill(view.ViewBase, 0x2000, 6);
    put_view(&sent, &view);
    answer_message(&reply, message.header.MessageId, 2, 1);
    EXPECT(send_message(scene.s, 0, &reply, &sent), STATUS_SUCCESS);
    EXPECT(finish_request(request), STATUS_SUCCESS);
    HOLDS(received->header.ValidAttributes & ALPC_MESSAGE_VIEW_ATTRIBUTE);
    SAME(view_attribute(received)->ViewSize, 0x2000);
    HOLDS(filled(view_attribute(received)->ViewBase, 0x2000, 6));
    SAME(flags_of(&request->received), LPC_CONTINUATION_REQUIRED);
    EXPECT(reply_message(scene.k, &request->received, 0, 0), STATUS_SUCCESS);
}

static void view_fails(void)
{
    struct scene scene;
    struct attributes sent;
    struct message message;
    ALPC_DATA_VIEW_ATTR good, view;

    usual_scene(&scene);
    good = make_view(scene.k, make_section(scene.k, 0x10000, 0), 0x1000, 0);
    fill_message(&message, 4, 1);
    view = good;
    view.Flags = 0x80000;
    put_view(&sent, &view);
    EXPECT(send_message(scene.k, 0, &message, &sent), STATUS_INVALID_PARAMETER);
    view = good;
    view.ViewBase = &view;
    put_view(&sent, &view);
    EXPECT_ERROR(send_message(scene.k, 0, &message, &sent));
    EXPECT(poll_message(scene.c, &message, NULL), STATUS_TIMEOUT);
}

/* Time to send does not grow with the view: what is sent is where it is. Only its orders of magnitude are looked at. */
static void view_costs_nothing(void)
{
    struct scene scene;
    uint64_t best[2] = { ~0ull, ~0ull };

    usual_scene(&scene);
    for (unsigned large = 0; large < 2; large++) {
        SIZE_T size = large ? 64u << 20 : 4096;
        ALPC_DATA_VIEW_ATTR view = make_view(scene.k, make_section(scene.k, size, 0), size, 0);
        for (unsigned i = 0; i < 5; i++) {
            struct attributes sent, received;
            struct message message;
            uint64_t begun;
            put_view(&sent, &view);
            fill_message(&message, 4, 1);
            begun = clock_ns();
            EXPECT(send_message(scene.k, 0, &message, &sent), STATUS_SUCCESS);
            if (clock_ns() - begun < best[large]) best[large] = clock_ns() - begun;
            make_attributes(&received, ALPC_MESSAGE_VIEW_ATTRIBUTE);
            take(scene.c, &message, &received, LPC_REQUEST);
            SAME(view_attribute(&received)->ViewSize, size);
            EXPECT(NtAlpcDeleteSectionView(scene.c, 0, view_attribute(&received)->ViewBase), STATUS_SUCCESS);
            EXPECT(reply_message(scene.c, &message, 0, 0), STATUS_SUCCESS);
            take(scene.k, &message, NULL, LPC_REPLY);
        }
        EXPECT(NtAlpcDeleteSectionView(scene.k, 0, view.ViewBase), STATUS_SUCCESS);
    }
    /* Copying 64 MiB takes ten milliseconds and more. */
    HOLDS(best[1] < best[0] + 5000000);
}

static const struct check sections_checks[] = {
    { "section-create", "NtAlpcCreatePortSection NtAlpcDeletePortSection !NtAlpcDeletePortSection I-01 I-02 I-12", create_section },
    { "section-create-over-section", "NtAlpcCreatePortSection NtAlpcCreateSectionView I-06", create_over_section },
    { "section-create-fails", "!NtAlpcCreatePortSection I-03 I-04 I-05 M-03", create_section_fails },
    { "section-limits", "!NtAlpcCreatePortSection !NtAlpcCreateSectionView I-10", section_limits },
    { "section-delete-fails", "!NtAlpcDeletePortSection I-12 M-03", delete_section_fails },
    { "view-create", "NtAlpcCreateSectionView NtAlpcDeleteSectionView !NtAlpcDeleteSectionView I-07 I-11", create_view },
    { "view-create-fails", "!NtAlpcCreateSectionView I-08 I-09 I-10 M-03", create_view_fails },
    { "view-delete-fails", "!NtAlpcDeleteSectionView I-11 M-03", delete_view_fails },
    { "view-round-trip", "attr:VIEW NtAlpcCreatePortSection NtAlpcCreateSectionView H-11", view_plain },
    { "view-of-a-page", "attr:VIEW", view_page },
    { "view-of-64-mib", "attr:VIEW H-17", view_large },
    { "view-secure", "attr:VIEW H-12", view_secure },
    { "view-is-shared", "attr:VIEW NtAlpcDeleteSectionView H-15", view_is_shared },
    { "view-in-flight", "attr:VIEW NtAlpcDeletePortSection H-12 H-13 M-07", view_in_flight },
    { "view-released-by-reply", "attr:VIEW H-14", view_released_by_reply },
    { "view-auto-release", "attr:VIEW H-16", view_auto_release },
    { "view-in-reply", "attr:VIEW", view_in_reply },
    { "view-fails", "!attr:VIEW !NtAlpcSendWaitReceivePort H-18", view_fails },
    { "view-costs-nothing", "attr:VIEW", view_costs_nothing },
};
CHECK_GROUP(sections);
