// neural isp for darktable: the part of the module that people see.
// SPDX-License-Identifier: GPL-3.0-or-later

#include "nisp_gui.h"
#include "nisp_request.h"

#include "bauhaus/bauhaus.h"
#include "common/darktable.h"
#include "common/image.h"
#include "common/mipmap_cache.h"
#include "control/conf.h"
#include "develop/develop.h"
#include "develop/imageop.h"
#include "develop/imageop_gui.h"
#include "gui/gtk.h"

#include <string.h>

typedef struct gui_t
{
  GtkWidget *status;
} gui_t;

void nisp_words_running(char *text, const size_t size, const char *stage, const double fraction)
{
  static const char *const words[][2] = { { "connect", N_("finding the server") },
                                          { "receive", N_("sending the file") },
                                          { "queue", N_("waiting for another picture") },
                                          { "decode", N_("reading the file") },
                                          { "noise", N_("measuring the noise") },
                                          { "restore", N_("restoring") },
                                          { "write", N_("writing the result") },
                                          { "send", N_("fetching the result") } };
  for(size_t i = 0; i < G_N_ELEMENTS(words); i++)
    if(!strcmp(stage, words[i][0]))
    {
      if(!strcmp(stage, "restore"))
        snprintf(text, size, "%s: %.0f %%", _(words[i][1]), 100.0 * fraction);
      else
        g_strlcpy(text, _(words[i][1]), size);
      return;
    }
  g_strlcpy(text, _("working"), size);
}

void nisp_words_done(char *text, const size_t size, const char *model, const char *noise, const char *seconds)
{
  static const char *const words[][2] = { { "user", N_("as given") },
                                          { "dng_noise_profile", N_("from the file's tag") },
                                          { "measured", N_("measured in this picture") },
                                          { "camera_table", N_("from the table of cameras") },
                                          { "default", N_("a guess by the ISO") } };
  const char *source = noise;
  for(size_t i = 0; i < G_N_ELEMENTS(words); i++)
    if(!strcmp(noise, words[i][0])) source = _(words[i][1]);
  snprintf(text, size, _("%s, noise %s, %s s"), model, source, seconds[0] ? seconds : "?");
}

static dt_iop_module_t *_module_in_darkroom(void)
{
  if(!darktable.gui || !darktable.develop || !darktable.develop->gui_attached) return NULL;
  for(const GList *modules = darktable.develop->iop; modules; modules = g_list_next(modules))
  {
    dt_iop_module_t *module = modules->data;
    if(!strcmp(module->op, "neuralisp")) return module->gui_data ? module : NULL;
  }
  return NULL;
}

void nisp_gui_update(dt_iop_module_t *self)
{
  const gui_t *g = self->gui_data;
  nisp_request_t request;
  nisp_report_t report = { NISP_UNKNOWN, { 0 } };
  if(self->hide_enable_button)
    g_strlcpy(report.text, _("no mosaic of red, green and blue: nothing to restore"), sizeof(report.text));
  else if(!self->enabled)
    g_strlcpy(report.text, _("off"), sizeof(report.text));
  else if(nisp_request_current(&request) && request.imgid == self->dev->image_storage.id)
    report = nisp_request_report(&request);

  if(report.state == NISP_FAILED)
  {
    char *text = g_strdup_printf(_("not restored: %s"), report.text);
    gtk_label_set_text(GTK_LABEL(g->status), text);
    g_free(text);
    dt_iop_set_module_trouble_message(self, _("not restored"), report.text, NULL);
  }
  else
    gtk_label_set_text(GTK_LABEL(g->status), report.text[0] ? report.text : _("waiting"));
}

static gboolean _refresh(gpointer unused)
{
  dt_iop_module_t *module = _module_in_darkroom();
  if(module) nisp_gui_update(module);
  return G_SOURCE_REMOVE;
}

void nisp_gui_refresh(void)
{
  if(darktable.gui) g_idle_add(_refresh, NULL);
}

static gboolean _finished(gpointer data)
{
  const int32_t imgid = GPOINTER_TO_INT(data);
  dt_mipmap_cache_remove(darktable.mipmap_cache, imgid); // the thumbnails are of the unrestored picture
  dt_iop_module_t *module = _module_in_darkroom();
  if(module && module->dev->image_storage.id == imgid)
  {
    dt_dev_reprocess_all(module->dev);
    nisp_gui_update(module);
  }
  return G_SOURCE_REMOVE;
}

void nisp_gui_finished(const int32_t imgid)
{
  if(darktable.gui) g_idle_add(_finished, GINT_TO_POINTER(imgid));
}

static void _restore_now(GtkButton *button, dt_iop_module_t *self)
{
  if(darktable.gui->reset || self->hide_enable_button) return;
  nisp_request_t request;
  if(nisp_request_current(&request) && request.imgid == self->dev->image_storage.id) nisp_request_forget(&request);
  if(!self->enabled)
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(self->off), TRUE);
  else
    dt_dev_reprocess_all(self->dev);
}

static void _fail_closed(GtkToggleButton *button, gpointer unused)
{
  dt_conf_set_bool(NISP_CONF_FAIL_CLOSED, gtk_toggle_button_get_active(button));
}

static GtkWidget *_share(dt_iop_module_t *self, const char *param, const char *tooltip)
{
  GtkWidget *slider = dt_bauhaus_slider_from_params(self, param);
  dt_bauhaus_slider_set_format(slider, "%");
  dt_bauhaus_slider_set_factor(slider, 100.0f);
  dt_bauhaus_slider_set_digits(slider, 0);
  gtk_widget_set_tooltip_text(slider, tooltip);
  return slider;
}

void nisp_gui_init(dt_iop_module_t *self)
{
  gui_t *g = (gui_t *)_iop_gui_alloc(self, sizeof(gui_t));

  GtkWidget *model = dt_bauhaus_combobox_from_params(self, "model");
  gtk_widget_set_tooltip_text(model, _("standard removes more and keeps more detail,\nfast takes about half as long,\n"
                                       "fine removes most and takes several times as long.\n"
                                       "each restores a picture once; afterwards it is kept"));
  _share(self, "strength", _("how much of the noise goes; 0 leaves the picture as it is.\n"
                             "acts at once: the network does not run again"));
  _share(self, "luma", _("share of the brightness noise that goes: grain"));
  _share(self, "chroma", _("share of the colour noise that goes: blotches"));

  g->status = gtk_label_new("");
  gtk_label_set_xalign(GTK_LABEL(g->status), 0.0f);
  gtk_label_set_line_wrap(GTK_LABEL(g->status), TRUE);
  gtk_label_set_selectable(GTK_LABEL(g->status), TRUE);
  gtk_widget_set_tooltip_text(g->status, _("model, where the noise parameters are from, seconds it took;\n"
                                           "or what is wrong"));
  gtk_box_pack_start(GTK_BOX(self->widget), g->status, TRUE, TRUE, 0);

  GtkWidget *again = gtk_button_new_with_label(_("restore now"));
  gtk_widget_set_tooltip_text(again, _("forget the kept result and restore this picture again"));
  g_signal_connect(again, "clicked", G_CALLBACK(_restore_now), self);
  gtk_box_pack_start(GTK_BOX(self->widget), again, TRUE, TRUE, 0);

  GtkWidget *closed = gtk_check_button_new_with_label(_("no export without restoration"));
  gtk_widget_set_tooltip_text(closed, _("where the server can't be had, export nothing rather than\n"
                                        "the unrestored picture (holds for all pictures)"));
  gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(closed), dt_conf_get_bool(NISP_CONF_FAIL_CLOSED));
  g_signal_connect(closed, "toggled", G_CALLBACK(_fail_closed), NULL);
  gtk_box_pack_start(GTK_BOX(self->widget), closed, TRUE, TRUE, 0);
}
