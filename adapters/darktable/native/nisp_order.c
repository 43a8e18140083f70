// neural isp for darktable: a place in the pipe for a module that darktable's own lists don't know.
// SPDX-License-Identifier: GPL-3.0-or-later
//
// darktable builds the order of an image's modules from constant tables, or from a list in its library. A module in
// neither comes last, on display data. The tables and the function that reads the lists are reached through relocation
// slots of libdarktable.so, so their addresses can be exchanged in memory: tables by copies with one more entry, the
// function by one that also serves lists from the library. Nothing of it is stored.

#define _GNU_SOURCE
#include "nisp_order.h"

#include "common/darktable.h"
#include "common/iop_order.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OURS "neuralisp"
#define NEXT "temperature"

extern const dt_iop_order_entry_t legacy_order[], v30_order[], v30_jpg_order[];

typedef GList *(*order_list_t)(int32_t imgid, gboolean sorted);

typedef struct slot_t
{
  const char *symbol;
  void *replacement;
  ElfW(Addr) place; // 0: not found
} slot_t;

static order_list_t _darktables_list = NULL;
static gboolean _hooked = FALSE;

static gboolean _has_entry(GList *list)
{
  for(GList *l = list; l; l = g_list_next(l))
    if(!strcmp(((dt_iop_order_entry_t *)l->data)->operation, OURS)) return TRUE;
  return FALSE;
}

// the list with our entry before NEXT, numbered from 1
static GList *_with_entry(GList *list)
{
  if(!_has_entry(list))
  {
    GList *next = list;
    while(next && strcmp(((dt_iop_order_entry_t *)next->data)->operation, NEXT)) next = g_list_next(next);
    if(!next) return list;
    dt_iop_order_entry_t *entry = calloc(1, sizeof(dt_iop_order_entry_t));
    g_strlcpy(entry->operation, OURS, sizeof(entry->operation));
    list = g_list_insert_before(list, next, entry);
  }
  int number = 1;
  for(GList *l = list; l; l = g_list_next(l)) ((dt_iop_order_entry_t *)l->data)->o.iop_order = number++;
  return list;
}

static GList *_list_of_image(int32_t imgid, gboolean sorted)
{
  return _with_entry(_darktables_list(imgid, sorted));
}

// a copy of a table (an entry without a name ends it) with ours before NEXT; lives as long as the process
static dt_iop_order_entry_t *_extended(const dt_iop_order_entry_t *table)
{
  int count = 0, place = -1;
  for(; table[count].operation[0]; count++)
    if(!strcmp(table[count].operation, NEXT)) place = count;
  if(place < 1) return NULL;
  dt_iop_order_entry_t *copy = calloc(count + 2, sizeof(dt_iop_order_entry_t));
  memcpy(copy, table, sizeof(*table) * place);
  g_strlcpy(copy[place].operation, OURS, sizeof(copy[place].operation));
  copy[place].o.iop_order_f = (table[place - 1].o.iop_order_f + table[place].o.iop_order_f) / 2.0;
  memcpy(copy + place + 1, table + place, sizeof(*table) * (count - place + 1));
  return copy;
}

// dl_iterate_phdr: notes where libdarktable keeps the addresses of our symbols
static int _find_slots(struct dl_phdr_info *object, size_t size, void *data)
{
  if(!object->dlpi_name || !strstr(object->dlpi_name, "libdarktable.so")) return 0;
  const ElfW(Dyn) *dynamic = NULL;
  for(int i = 0; i < object->dlpi_phnum; i++)
    if(object->dlpi_phdr[i].p_type == PT_DYNAMIC)
      dynamic = (const ElfW(Dyn) *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
  if(!dynamic) return 1;

  const ElfW(Sym) *symbols = NULL;
  const char *names = NULL;
  const ElfW(Rela) *tables[2] = { NULL, NULL };
  size_t bytes[2] = { 0, 0 };
  for(const ElfW(Dyn) *d = dynamic; d->d_tag != DT_NULL; d++)
  {
    if(d->d_tag == DT_SYMTAB) symbols = (const ElfW(Sym) *)d->d_un.d_ptr;
    else if(d->d_tag == DT_STRTAB) names = (const char *)d->d_un.d_ptr;
    else if(d->d_tag == DT_RELA) tables[0] = (const ElfW(Rela) *)d->d_un.d_ptr;
    else if(d->d_tag == DT_RELASZ) bytes[0] = d->d_un.d_val;
    else if(d->d_tag == DT_JMPREL) tables[1] = (const ElfW(Rela) *)d->d_un.d_ptr;
    else if(d->d_tag == DT_PLTRELSZ) bytes[1] = d->d_un.d_val;
  }
  if(!symbols || !names) return 1;
  for(int t = 0; t < 2; t++)
    for(size_t i = 0; tables[t] && i < bytes[t] / sizeof(ElfW(Rela)); i++)
    {
      const ElfW(Rela) *r = &tables[t][i];
      const size_t index = sizeof(void *) == 8 ? (size_t)(r->r_info >> 32) : (size_t)(r->r_info >> 8);
      const char *name = names + symbols[index].st_name;
      for(slot_t *slot = data; index && slot->symbol; slot++)
        if(!strcmp(name, slot->symbol) && !slot->place) slot->place = object->dlpi_addr + r->r_offset;
    }
  return 1;
}

static gboolean _set(const slot_t *slot)
{
  // slots of data lie in pages that the loader has made read-only
  const size_t page = sysconf(_SC_PAGESIZE);
  if(mprotect((void *)(slot->place & ~(page - 1)), page, PROT_READ | PROT_WRITE)) return FALSE;
  *(void **)slot->place = slot->replacement;
  return TRUE;
}

void nisp_order_hook(void)
{
  // start-up: this list was built before the modules were loaded
  darktable.iop_order_list = _with_entry(darktable.iop_order_list);
  _darktables_list = (order_list_t)dlsym(RTLD_DEFAULT, "dt_ioppr_get_iop_order_list");
  if(!_darktables_list) _darktables_list = dt_ioppr_get_iop_order_list;
  slot_t slots[] = { { "legacy_order", _extended(legacy_order), 0 },
                     { "v30_order", _extended(v30_order), 0 },
                     { "v30_jpg_order", _extended(v30_jpg_order), 0 },
                     { "dt_ioppr_get_iop_order_list", _list_of_image, 0 },
#ifdef NEURALISP_WITHOUT_HOOK // for the test of the fall-back
                     { "no such symbol", NULL, 0 },
#endif
                     { NULL, NULL, 0 } };
  dl_iterate_phdr(_find_slots, slots);
  for(const slot_t *slot = slots; slot->symbol; slot++)
    if(!slot->place || !slot->replacement)
    {
      fprintf(stderr, "[neural isp] %s can't be extended; the order of each image goes into the library instead\n",
              slot->symbol);
      return; // all of them or none
    }
  _hooked = TRUE;
  for(const slot_t *slot = slots; slot->symbol; slot++) _hooked = _set(slot) && _hooked;
}

void nisp_order_write(const int32_t imgid)
{
  if(_hooked || imgid <= 0) return;
  GList *list = _darktables_list(imgid, FALSE);
  if(!_has_entry(list)) dt_ioppr_write_iop_order_list(list = _with_entry(list), imgid);
  g_list_free_full(list, free);
}
