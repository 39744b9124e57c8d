/* A second process that runs the same program. */
#ifndef SECOND_PROCESS_H
#define SECOND_PROCESS_H

struct second_process;

/* Starts this program again with these arguments (NULL ends them); its output goes where ours goes. A failure ends the program. */
struct second_process *start_again(const char *const *arguments);
/* Waits for its end: its exit status, -1 when it did not end by itself. The structure is freed. */
int wait_for_process(struct second_process *process);
void end_process(struct second_process *process);
/* -1 while it runs, else as wait_for_process; frees nothing. */
int process_status(struct second_process *process);

#endif
