// neural isp for darktable: the helper program, started in the background and watched by a thread of its own.
// SPDX-License-Identifier: GPL-3.0-or-later

#include "nisp_gui.h"
#include "nisp_request.h"

#include "common/darktable.h"
#include "control/conf.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define CONTRACT "1"          // of the helper's arguments and of its status file
#define LOOK_US 50000         // between two looks at the helper
#define TELL_US 500000        // between two looks at its status file
#define RETRY_US 30000000     // a failure is left alone that long, whatever the sliders do
#define LIMIT_US 3600000000LL // an hour: longer than the largest picture takes on a slow machine

typedef struct job_t
{
  nisp_request_t request;
  nisp_report_t report;
  gint64 ended; // monotonic µs, 0 while it runs
  GPid pid;
} job_t;

static GMutex _lock;
static GCond _ended;
static GHashTable *_jobs = NULL; // key -> job_t; lives as long as darktable

static job_t *_job(const char *key)
{
  return _jobs ? g_hash_table_lookup(_jobs, key) : NULL;
}

// what the helper has written into its status file
static nisp_report_t _read_status(const nisp_request_t *request)
{
  nisp_report_t report = { NISP_UNKNOWN, { 0 } };
  char *path = nisp_request_file(request, "status");
  GKeyFile *file = g_key_file_new();
  if(g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
  {
    char *value[6];
    const char *const names[6] = { "state", "message", "stage", "fraction", "noise", "seconds" };
    for(int i = 0; i < 6; i++)
    {
      value[i] = g_key_file_get_string(file, "neural-isp", names[i], NULL);
      if(!value[i]) value[i] = g_strdup("");
    }
    char *model = g_key_file_get_string(file, "neural-isp", "model", NULL);
    if(!strcmp(value[0], "running"))
    {
      report.state = NISP_RUNNING;
      nisp_words_running(report.text, sizeof(report.text), value[2], g_ascii_strtod(value[3], NULL));
    }
    else if(!strcmp(value[0], "done"))
    {
      report.state = NISP_DONE;
      nisp_words_done(report.text, sizeof(report.text), model ? model : "", value[4], value[5]);
    }
    else
    {
      report.state = !strcmp(value[0], "mismatch") ? NISP_MISMATCH : NISP_FAILED;
      g_strlcpy(report.text, value[1], sizeof(report.text));
    }
    g_free(model);
    for(int i = 0; i < 6; i++) g_free(value[i]);
  }
  g_key_file_free(file);
  g_free(path);
  return report;
}

static gpointer _watch(gpointer data)
{
  job_t *job = data;
  const gint64 begun = g_get_monotonic_time();
  gint64 told = begun;
  int status = 0, seen;
  while((seen = waitpid(job->pid, &status, WNOHANG)) == 0 || (seen < 0 && errno == EINTR))
  {
    const gint64 now = g_get_monotonic_time();
    if(now - begun > LIMIT_US) kill(job->pid, SIGKILL);
    if(now - told > TELL_US)
    {
      told = now;
      const nisp_report_t report = _read_status(&job->request);
      g_mutex_lock(&_lock);
      if(report.state == NISP_RUNNING) job->report = report;
      g_mutex_unlock(&_lock);
      nisp_gui_refresh();
    }
    g_usleep(LOOK_US);
  }
  nisp_report_t report = _read_status(&job->request);
  if(report.state == NISP_RUNNING || report.state == NISP_UNKNOWN)
  {
    report.state = NISP_FAILED;
    if(WIFSIGNALED(status))
      snprintf(report.text, sizeof(report.text), _("the helper program was ended by signal %d"), WTERMSIG(status));
    else
      snprintf(report.text, sizeof(report.text), _("the helper program failed (exit code %d); is neural-isp still "
                                                   "installed? `neural-isp darktable doctor` says more"),
               WEXITSTATUS(status));
  }
  g_spawn_close_pid(job->pid);
  g_mutex_lock(&_lock);
  job->report = report;
  job->ended = g_get_monotonic_time();
  g_cond_broadcast(&_ended);
  g_mutex_unlock(&_lock);
  nisp_gui_finished(job->request.imgid);
  return NULL;
}

static gboolean _spawn(job_t *job, const char *samples_path, GError **error)
{
  const nisp_request_t *r = &job->request;
  const char *const command[] = { NEURALISP_HELPER };
  char *window = g_strdup_printf("%d,%d,%d,%d,%d,%d", r->top, r->left, r->height, r->width, r->frame_height,
                                 r->frame_width);
  char cfa[37] = { 0 };
  for(int i = 0; i < r->period * r->period; i++) cfa[i] = '0' + r->cfa[i];
  char *server = dt_conf_get_string("plugins/darkroom/neuralisp/server"); // "" is the local one

  GPtrArray *arguments = g_ptr_array_new();
  for(size_t i = 0; i < G_N_ELEMENTS(command); i++) g_ptr_array_add(arguments, (gpointer)command[i]);
  const char *const given[] = { "host-helper", "--contract", CONTRACT, "--key", r->key, "--window", window, "--cfa", cfa,
                                "--model", r->model, samples_path ? "--samples" : "--raw",
                                samples_path ? samples_path : r->path };
  for(size_t i = 0; i < G_N_ELEMENTS(given); i++) g_ptr_array_add(arguments, (gpointer)given[i]);
  if(server && server[0])
  {
    g_ptr_array_add(arguments, "--server");
    g_ptr_array_add(arguments, server);
  }
  g_ptr_array_add(arguments, NULL);
  const gboolean good = g_spawn_async(NULL, (char **)arguments->pdata, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                                      &job->pid, error);
  g_ptr_array_free(arguments, TRUE);
  g_free(server);
  g_free(window);
  return good;
}

static gboolean _write_samples(const char *path, const nisp_request_t *request, const float *samples,
                               const size_t stride, GError **error)
{
  const size_t row_bytes = sizeof(float) * request->width;
  FILE *file = g_fopen(path, "wb");
  gboolean good = file != NULL;
  for(int row = 0; good && row < request->height; row++)
    good = fwrite(samples + row * stride, row_bytes, 1, file) == 1;
  if(file && fclose(file)) good = FALSE;
  if(!good) g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
  if(!good) g_remove(path);
  return good;
}

void nisp_request_start(const nisp_request_t *request, const float *samples, const size_t stride)
{
  g_mutex_lock(&_lock);
  if(!_jobs) _jobs = g_hash_table_new(g_str_hash, g_str_equal);
  job_t *job = _job(request->key);
  const gboolean rest = job && job->report.state == NISP_FAILED && g_get_monotonic_time() - job->ended < RETRY_US;
  if(rest || (job && !job->ended) || (request->samples && !samples))
  {
    g_mutex_unlock(&_lock);
    return;
  }
  if(!job)
  {
    job = g_new0(job_t, 1);
    job->request = *request;
    g_hash_table_insert(_jobs, job->request.key, job);
  }
  job->ended = 0;
  job->report.state = NISP_RUNNING;
  nisp_words_running(job->report.text, sizeof(job->report.text), "connect", 0.0);
  g_mutex_unlock(&_lock);

  char *status = nisp_request_file(request, "status");
  g_remove(status); // an older run's
  g_free(status);
  char *samples_path = request->samples ? nisp_request_file(request, "samples") : NULL;
  GError *error = NULL;
  const gboolean written = !samples_path || _write_samples(samples_path, request, samples, stride, &error);
  if(written && _spawn(job, samples_path, &error))
    g_thread_unref(g_thread_new("neural isp", _watch, job));
  else
  {
    g_mutex_lock(&_lock);
    job->ended = g_get_monotonic_time();
    job->report.state = NISP_FAILED;
    snprintf(job->report.text, sizeof(job->report.text), _("the helper program could not be started: %s"),
             error ? error->message : "");
    g_mutex_unlock(&_lock);
    g_clear_error(&error);
  }
  g_free(samples_path);
  nisp_gui_refresh();
}

nisp_report_t nisp_request_wait(const nisp_request_t *request, const double seconds)
{
  const gint64 until = g_get_monotonic_time() + (gint64)(seconds * 1e6);
  nisp_report_t report = { NISP_UNKNOWN, { 0 } };
  g_mutex_lock(&_lock);
  const job_t *job = _job(request->key);
  while(job && !job->ended && g_cond_wait_until(&_ended, &_lock, until));
  if(job) report = job->report;
  g_mutex_unlock(&_lock);
  return report;
}

nisp_report_t nisp_request_report(const nisp_request_t *request)
{
  g_mutex_lock(&_lock);
  const job_t *job = _job(request->key);
  nisp_report_t report = { NISP_UNKNOWN, { 0 } };
  if(job) report = job->report;
  g_mutex_unlock(&_lock);
  if(!job)
  {
    report = _read_status(request);
    if(report.state == NISP_RUNNING || report.state == NISP_FAILED) report.state = NISP_UNKNOWN; // of another darktable
  }
  return report;
}

void nisp_request_forget(const nisp_request_t *request)
{
  g_mutex_lock(&_lock);
  job_t *job = _job(request->key);
  const gboolean running = job && !job->ended;
  if(job && !running) job->report.state = NISP_UNKNOWN;
  g_mutex_unlock(&_lock);
  if(running) return;
  for(int i = 0; i < 2; i++)
  {
    char *path = nisp_request_file(request, i ? "status" : "residual");
    g_remove(path);
    g_free(path);
  }
}
