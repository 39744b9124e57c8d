/* Ways in which a process ends; the argument says which. The exit code is the proof. */
#include "probe.h"

static DWORD WINAPI blocked(void *unused) { (void)unused; return (DWORD)core(BLOCK, NULL, NULL, NULL); }
static DWORD WINAPI sleeper(void *unused) { (void)unused; Sleep(100); return 4; }

int main(int count, char **arguments) {
    const char *way = count > 1 ? arguments[1] : "";
    make_port(1);
    if (!strcmp(way, "ExitProcess with blocked threads")) {
        for (int i = 0; i < 8; i++) CreateThread(NULL, 0, blocked, NULL, 0, NULL);
        Sleep(100);
        ExitProcess(3);
    }
    if (!strcmp(way, "ExitThread of the only thread")) ExitThread(5);
    if (!strcmp(way, "ExitThread before another's")) {
        CreateThread(NULL, 0, sleeper, NULL, 0, NULL);
        ExitThread(5);
    }
    if (!strcmp(way, "ExitThread of eight at once")) {
        for (int i = 0; i < 7; i++) CreateThread(NULL, 0, sleeper, NULL, 0, NULL);
        Sleep(100);
        ExitThread(4);
    }
    if (!strcmp(way, "TerminateThread of the only thread")) TerminateThread(GetCurrentThread(), 6);
    if (!strcmp(way, "a trap in the core")) core(TRAP, NULL, NULL, NULL);
    if (!strcmp(way, "a stray write in the core")) core(STRAY_WRITE, NULL, NULL, NULL);
    return 99;
}
