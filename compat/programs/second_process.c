/* Starting the same program once more. See second_process.h. */
#ifndef _WIN32
#define _GNU_SOURCE
#endif
#include "second_process.h"
#include "program.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

struct second_process {
#ifdef _WIN32
    HANDLE handle;
#else
    pid_t identifier;
#endif
};

struct second_process *start_again(const char *const *arguments)
{
    struct second_process *process = calloc(1, sizeof *process);
#ifdef _WIN32
    char path[MAX_PATH], line[2048];
    STARTUPINFOA start = { .cb = sizeof start };
    PROCESS_INFORMATION made;
    int used;

    GetModuleFileNameA(NULL, path, sizeof path);
    used = snprintf(line, sizeof line, "\"%s\"", path);
    for (; *arguments; arguments++) used += snprintf(line + used, sizeof line - (size_t)used, " \"%s\"", *arguments);
    if (!CreateProcessA(path, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &made)) fail("no second process: error %lu", GetLastError());
    CloseHandle(made.hThread);
    process->handle = made.hProcess;
#else
    char *list[16] = { (char *)program_role };
    unsigned count = 1;

    for (; *arguments; arguments++) list[count++] = (char *)*arguments;
    process->identifier = fork();
    if (process->identifier < 0) fail("no second process: error %d", errno);
    if (!process->identifier) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);       /* it ends with us, however that happens */
        execv("/proc/self/exe", list);
        _exit(127);
    }
#endif
    return process;
}

int wait_for_process(struct second_process *process)
{
    int code = -1;
#ifdef _WIN32
    DWORD value = 0;
    WaitForSingleObject(process->handle, INFINITE);
    if (GetExitCodeProcess(process->handle, &value)) code = (int)value;
    CloseHandle(process->handle);
#else
    int status = 0;
    if (waitpid(process->identifier, &status, 0) == process->identifier && WIFEXITED(status)) code = WEXITSTATUS(status);
#endif
    free(process);
    return code;
}

void end_process(struct second_process *process)
{
#ifdef _WIN32
    TerminateProcess(process->handle, 1);
#else
    kill(process->identifier, SIGKILL);
#endif
    wait_for_process(process);
}

int process_status(struct second_process *process)
{
#ifdef _WIN32
    DWORD value = 0;
    if (WaitForSingleObject(process->handle, 0) != WAIT_OBJECT_0) return -1;
    return GetExitCodeProcess(process->handle, &value) ? (int)value : 0;
#else
    siginfo_t information;
    memset(&information, 0, sizeof information);
    if (waitid(P_PID, (id_t)process->identifier, &information, WEXITED | WNOHANG | WNOWAIT) || !information.si_pid) return -1;
    return information.si_code == CLD_EXITED ? information.si_status : 128 + information.si_status;
#endif
}
