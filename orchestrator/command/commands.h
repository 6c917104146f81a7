/* orchestrator/command/commands.h -- one function a command, one file a function (cmd_NAME.c). Each
 * parses its own options with cli_parse(), prints its results to stdout and returns an exit_code.
 */
#ifndef QUERN_ORCHESTRATOR_COMMANDS_H
#define QUERN_ORCHESTRATOR_COMMANDS_H

int cmd_init(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_affected(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_retry(int argc, char **argv);
int cmd_cancel(int argc, char **argv);
int cmd_upload(int argc, char **argv);
int cmd_upload_repo(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_card(int argc, char **argv);
int cmd_gc(int argc, char **argv);
int cmd_fetch_repo(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_measure_job(int argc, char **argv);
int cmd_calib(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_fake(int argc, char **argv);
int cmd_engines(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_drain(int argc, char **argv);
int cmd_notify_post(int argc, char **argv);
int cmd_help(int argc, char **argv);

#endif
