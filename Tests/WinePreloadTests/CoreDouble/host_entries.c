/* The entries of the host's table that may be missing, each called as the core calls it. */
#define _GNU_SOURCE
#include "core_inside.h"
#include <pthread.h>
#include <unistd.h>

static PVOID completion;
static ULONG waits_returned;

static NTSTATUS post(const core_request *request, ULONG from, ULONG to) {
    NTSTATUS status = STATUS_SUCCESS;
    for (ULONG i = from; i < to && status >= 0; i++) {
        uintptr_t number = request->first + i;
        status = host->PostCompletion(completion, request->key, (PVOID)number, request->status, number + 1);
    }
    return status;
}

static void *post_all(void *request) { return (void *)(intptr_t)post(request, 0, ((core_request *)request)->count); }
static void *post_first_half(void *request) { return (void *)(intptr_t)post(request, 0, ((core_request *)request)->count / 2); }
static void *post_second_half(void *argument) {
    core_request *request = argument;
    return (void *)(intptr_t)post(request, request->count / 2, request->count);
}

static NTSTATUS post_in_a_race(core_request *request) {
    pthread_t other;
    pthread_create(&other, NULL, post_second_half, request);
    NTSTATUS status = post(request, 0, request->count / 2);
    pthread_join(other, NULL);
    return status;
}

static void *close_it(void *request) { host->CloseObject(((core_request *)request)->handle); return NULL; }
static void *release(void *unused) { (void)unused; host->ReleaseCompletionPort(completion); return NULL; }
static void *query_session(void *request) { ((core_request *)request)->session = host->QuerySession(); return NULL; }
static void *start(void *request) { ((core_request *)request)->status = start_worker(); return NULL; }

static void *query_user(void *request) {
    core_request *r = request;
    r->status = host->QueryUserSid(r->sid, &r->count);
    return NULL;
}

static NTSTATUS impersonate(const core_request *request) {
    const NTLPC_CLIENT client = { .Level = request->level, .ProcessId = request->process, .Uid = geteuid() + (request->foreign != 0) };
    return host->Impersonate(&client);
}

static NTSTATUS wait_for(core_request *request) {
    LARGE_INTEGER timeout = { .QuadPart = request->timeout };
    NTSTATUS status = host->WaitForHandle(request->handle, request->options != 0, request->timeout ? &timeout : NULL);
    request->count = ++waits_returned;
    return status;
}

NTSTATUS use_host(ULONG operation, core_request *r) {
    switch (operation) {
    case QUERY_HANDLE: return host->QueryHandle(r->handle, &r->type, &r->access, &r->attributes);
    case QUERY_SESSION: query_session(r); return STATUS_SUCCESS;
    case QUERY_SESSION_FROM_OUTSIDE: from_outside(query_session, r); return STATUS_SUCCESS;
    case SEND_HANDLE: return host->SendHandle(r->handle, r->process, r->access, r->attributes, r->options, &r->result);
    case CLOSE_OBJECT: close_it(r); return STATUS_SUCCESS;
    case CLOSE_OBJECT_FROM_OUTSIDE: from_outside(close_it, r); return STATUS_SUCCESS;
    case REFERENCE_EVENT: return host->ReferenceEvent(r->handle, &waitable);
    case GIVE_TO_PEER: return give_to_peer(r);
    case TAKE_FROM_PEER: return take_from_peer(r);
    case REFERENCE_COMPLETION: return host->ReferenceCompletionPort(r->handle, &completion);
    case POST: return post(r, 0, r->count);
    case POST_FROM_OUTSIDE: from_outside(post_all, r); return STATUS_SUCCESS;
    case POST_FROM_BOTH: from_outside(post_first_half, r); return post(r, r->count / 2, r->count);
    case POST_IN_A_RACE: return post_in_a_race(r);
    case RELEASE_COMPLETION: release(NULL); return STATUS_SUCCESS;
    case RELEASE_COMPLETION_FROM_OUTSIDE: from_outside(release, NULL); return STATUS_SUCCESS;
    case OPEN_PROCESS: return host->OpenProcess(&r->result, r->access, r->attributes, &r->id);
    case OPEN_THREAD: return host->OpenThread(&r->result, r->access, r->attributes, &r->id);
    case QUERY_THREAD: return host->QueryThread(r->handle, &r->id);
    case QUERY_TOKEN: return host->QueryToken(r->process, r->luids);
    case IMPERSONATE: return impersonate(r);
    case WAIT: return wait_for(r);
    case START_WORKER: return start_worker();
    case START_WORKER_FROM_OUTSIDE: from_outside(start, r); return r->status;
    case PUSH_WORK: return push_work(r);
    case END_WORKERS: return end_workers();
    case QUERY_USER: query_user(r); return r->status;
    case QUERY_USER_FROM_OUTSIDE: from_outside(query_user, r); return r->status;
    }
    return STATUS_INVALID_PARAMETER;
}
