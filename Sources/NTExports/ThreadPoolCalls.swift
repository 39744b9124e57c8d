// The thread pool family: callbacks for a port's messages.
//
// A PTP_ALPC and a PTP_CALLBACK_INSTANCE are addresses that only we give out; each is looked up before use, so that a wrong one does
// nothing. The callback environment is accepted and its contents do not count: there is one pool, without cleanup groups.

import CLinuxShims
import CNTTypes
import NTObjects
import NTTypes
import Ports

private func pool() -> WorkerPool {
    WorkerPool.shared { pool in
        do throws(NTStatus) {
            try Host.startWorker(pool)
            return .success
        } catch {
            return error
        }
    }
}

private func found(_ alpc: PTP_ALPC?) -> (pool: WorkerPool, completion: PoolCompletion)? {
    guard let alpc, let pool = WorkerPool.existing, let completion = pool.completion(at: UnsafeMutableRawPointer(alpc)) else { return nil }
    return (pool, completion)
}

private func allocate(_ result: UnsafeMutablePointer<PTP_ALPC?>?, _ handle: HANDLE?, _ callback: UnsafeMutableRawPointer?, _ context: PVOID?) throws(NTStatus) {
    guard let callback else { throw .invalidParameter }
    try CallerMemory.probeWrite(result)
    try HandleTable.withObject(handle, kind: .port) { (port: ALPCPort) throws(NTStatus) in
        let pool = pool()
        let completion = PoolCompletion(callback: callback, context: context, pool: pool)
        completion.port = port
        try pool.add(completion)
        do throws(NTStatus) {
            // Written first: the callback may run before this call returns.
            try CallerMemory.write(PTP_ALPC?.some(OpaquePointer(completion.address)), to: result)
            try port.associate(completion)
        } catch {
            pool.release(completion)
            throw error
        }
    }
}

/// Runs `Callback(instance, Context, alpc)` once for each message of the port that no thread is blocked for. The port's association is
/// for its life: a later one, with the pool or a completion port, is `PORT_ALREADY_SET` ([R] NW-S).
///
/// Statuses: `INVALID_PARAMETER` (no callback), `ACCESS_VIOLATION`, `INVALID_HANDLE`, `OBJECT_TYPE_MISMATCH`, `PORT_ALREADY_SET`,
/// `INSUFFICIENT_RESOURCES`, `NOT_SUPPORTED` (a host without worker threads). Source: behaviour reference 11.4 ([D] PHNT; [W?] AA-T).
@c @implementation
public func TpAllocAlpcCompletion(_ AlpcReturn: UnsafeMutablePointer<PTP_ALPC?>?, _ AlpcPort: HANDLE?, _ Callback: PTP_ALPC_CALLBACK?, _ Context: PVOID?,
                                  _ CallbackEnviron: PTP_CALLBACK_ENVIRON?) -> NTSTATUS {
    statusBoundary("TpAllocAlpcCompletion") { () throws(NTStatus) -> NTStatus in
        try allocate(AlpcReturn, AlpcPort, unsafeBitCast(Callback, to: UnsafeMutableRawPointer?.self), Context)
        return .success
    }
}

/// The same; the callback has a fourth argument, the packet's ApcContext, which is NULL for ports (section 17, point 23).
@c @implementation
public func TpAllocAlpcCompletionEx(_ AlpcReturn: UnsafeMutablePointer<PTP_ALPC?>?, _ AlpcPort: HANDLE?, _ Callback: PTP_ALPC_CALLBACK_EX?, _ Context: PVOID?,
                                    _ CallbackEnviron: PTP_CALLBACK_ENVIRON?) -> NTSTATUS {
    statusBoundary("TpAllocAlpcCompletionEx") { () throws(NTStatus) -> NTStatus in
        try allocate(AlpcReturn, AlpcPort, unsafeBitCast(Callback, to: UnsafeMutableRawPointer?.self), Context)
        return .success
    }
}

/// No callback begins any more; the object is gone when those that run have ended. A callback may release its own object.
@c @implementation
public func TpReleaseAlpcCompletion(_ Alpc: PTP_ALPC?) {
    if let (pool, completion) = found(Alpc) { pool.release(completion) }
}

/// Waits until no callback runs or is due. Inside a callback of the object, that one does not count.
@c @implementation
public func TpWaitForAlpcCompletion(_ Alpc: PTP_ALPC?) {
    if let (pool, completion) = found(Alpc) { pool.wait(for: completion) }
}

/// The port's completion list is used from now on: what it holds already runs a callback, as each message that comes into it does ([D]).
@c @implementation
public func TpAlpcRegisterCompletionList(_ Alpc: PTP_ALPC?) {
    if let (_, completion) = found(Alpc), completion.port?.completionListHasMessages == true { completion.announce() }
}

/// The list's messages run callbacks as long as the port has the list; this ends nothing by itself.
@c @implementation
public func TpAlpcUnregisterCompletionList(_ Alpc: PTP_ALPC?) {}

/// Sends when the callback of `TpHandle`, a PTP_CALLBACK_INSTANCE, returns. The message is captured now. Several are sent in order.
///
/// Statuses: `INVALID_PARAMETER` for an instance that does not run, for lengths that clash, and for a synchronous request;
/// `ACCESS_VIOLATION`. How the send itself ends, nobody is there to hear. Source: behaviour reference 11.4 ([D] PHNT).
@c @implementation
public func TpCallbackSendAlpcMessageOnCompletion(_ TpHandle: HANDLE?, _ PortHandle: HANDLE?, _ Flags: ULONG, _ SendMessage: PPORT_MESSAGE?) -> NTSTATUS {
    statusBoundary("TpCallbackSendAlpcMessageOnCompletion") { () throws(NTStatus) -> NTStatus in
        let syncRequest: ULONG = 0x0002_0000
        guard Flags & syncRequest == 0 else { throw .invalidParameter }
        let captured = try MessageCapture.message(at: SendMessage, .alpc)
        guard let pool = WorkerPool.existing, let instance = pool.instance(at: TpHandle) else { throw .invalidParameter }
        var header = captured.header
        var bytes = withUnsafeBytes(of: &header) { Array($0) }
        bytes += UnsafeRawBufferPointer(start: captured.payload, count: captured.payload == nil ? 0 : Int(header.dataLength))
        let message = bytes, port = UInt(bitPattern: PortHandle)
        let isKept = pool.atEnd(of: instance) {
            var copy = message
            copy.withUnsafeMutableBytes { copy in
                _ = NtAlpcSendWaitReceivePort(HANDLE(bitPattern: port), Flags, copy.baseAddress!.assumingMemoryBound(to: PORT_MESSAGE.self), nil, nil, nil, nil, nil)
            }
        }
        guard isKept else { throw .invalidParameter }
        return .success
    }
}

/// Sends now what waits for the end of the calling thread's callback. `INVALID_PARAMETER` outside a callback.
@c @implementation
public func TpCallbackSendPendingAlpcMessage() -> NTSTATUS {
    statusBoundary("TpCallbackSendPendingAlpcMessage") { () throws(NTStatus) -> NTStatus in
        guard let pool = WorkerPool.existing, let instance = pool.currentInstance else { throw .invalidParameter }
        for work in pool.takeEndWork(of: instance) { work() }
        return .success
    }
}

/// A host's worker thread asks for the next callback, and says with that that the one before has returned.
@c @implementation
public func ntlpc_next_work(_ Pool: PVOID?, _ Work: UnsafeMutablePointer<NTLPC_WORK>?) -> BOOLEAN {
    Host.start()
    guard let Pool, let Work, let pool = WorkerPool.existing, Unmanaged.passUnretained(pool).toOpaque() == Pool, let instance = pool.nextWork() else { return 0 }
    Work.pointee.Function = instance.completion.callback
    Work.pointee.Arguments = (instance.address, instance.completion.context, instance.completion.address, nil)
    return 1
}
