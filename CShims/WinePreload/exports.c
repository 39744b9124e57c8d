/* ntdll.dll's export directory, extended.
 *
 * A Windows program finds a call by its name in this directory, be it through its import table or GetProcAddress, so a new
 * directory with more names is all that the loader needs. It must be reachable by 32-bit offsets from the image, its names
 * must be in strcmp order (the loader searches by halves), and code must lie outside the directory's own range: an export
 * inside is read as the name of a forwarder.
 *
 * Layout written: EXPORT_DIRECTORY, function offsets, name offsets, ordinals, text. The old directory stays where it is;
 * names and functions that are not ours keep their places in it, and ordinals their numbers. */
#include "wine_preload.h"
#include <stdlib.h>
#include <string.h>

typedef struct export_directory {
    uint32_t characteristics, time_stamp;
    uint16_t major_version, minor_version;
    uint32_t name, ordinal_base, function_count, name_count, functions, names, ordinals;    /* offsets from the image's base */
} export_directory;
_Static_assert(sizeof(export_directory) == 40, "IMAGE_EXPORT_DIRECTORY");

#define PE_MACHINE_AMD64 0x8664u
#define PE_MAGIC_64 0x20bu

static uint16_t read16(const uint8_t *at) { uint16_t value; memcpy(&value, at, sizeof value); return value; }
static uint32_t read32(const uint8_t *at) { uint32_t value; memcpy(&value, at, sizeof value); return value; }

bool pe_image_open(pe_image *image, uint8_t *base) {
    if (read16(base) != 0x5a4d) return false;                                   /* MZ */
    uint8_t *header = base + read32(base + 0x3c);
    if (read32(header) != 0x4550) return false;                                 /* PE */
    uint8_t *optional = header + 24;
    if (read16(header + 4) != PE_MACHINE_AMD64 || read16(optional) != PE_MAGIC_64) return false;
    *image = (pe_image){ .base = base, .size = read32(optional + 56), .export_slot = (uint32_t *)(void *)(optional + 112) };
    return image->export_slot[0] != 0;
}

static export_directory *directory_of(const pe_image *image) {
    return (export_directory *)(void *)(image->base + image->export_slot[0]);
}

static const char *name_at(const pe_image *image, uint32_t index) {
    const uint32_t *names = (const uint32_t *)(void *)(image->base + directory_of(image)->names);
    return (const char *)image->base + names[index];
}

static uint16_t ordinal_at(const pe_image *image, uint32_t index) {
    return ((const uint16_t *)(void *)(image->base + directory_of(image)->ordinals))[index];
}

uint8_t *pe_image_find(const pe_image *image, const char *name) {
    const export_directory *directory = directory_of(image);
    uint32_t low = 0, high = directory->name_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(name_at(image, middle), name);
        if (order == 0) return image->base + ((uint32_t *)(void *)(image->base + directory->functions))[ordinal_at(image, middle)];
        if (order < 0) low = middle + 1; else high = middle;
    }
    return NULL;
}

size_t pe_exports_size(const pe_image *image, const pe_export *added, uint32_t count) {
    const export_directory *directory = directory_of(image);
    size_t size = sizeof(export_directory) + (size_t)(directory->function_count + count) * 4
        + (size_t)(directory->name_count + count) * 6;
    for (uint32_t i = 0; i < count; i++) size += strlen(added[i].name) + 1;
    return size;
}

static int by_name(const void *left, const void *right) {
    return strcmp(((const pe_export *)left)->name, ((const pe_export *)right)->name);
}

uint32_t pe_exports_write(const pe_image *image, uint8_t *at, pe_export *added, uint32_t count) {
    const export_directory *old = directory_of(image);
    const uint32_t *old_functions = (const uint32_t *)(void *)(image->base + old->functions);
    export_directory *new = (export_directory *)(void *)at;
    uint32_t *functions = (uint32_t *)(new + 1);
    uint32_t *names = functions + old->function_count + count;
    uint16_t *ordinals = (uint16_t *)(names + old->name_count + count);
    char *text = (char *)(ordinals + old->name_count + count);
    uint32_t function_count = old->function_count, name_count = 0, kept = 0, taken = 0;

    qsort(added, count, sizeof *added, by_name);
    memcpy(functions, old_functions, (size_t)old->function_count * sizeof *functions);
    /* Merges two sorted lists. A name that both have keeps its place and its ordinal, and leads to our code. */
    while (kept < old->name_count || taken < count) {
        int order = taken == count ? -1 : kept == old->name_count ? 1 : strcmp(name_at(image, kept), added[taken].name);
        if (order <= 0) {
            names[name_count] = (uint32_t)((const uint8_t *)name_at(image, kept) - image->base);
            ordinals[name_count] = ordinal_at(image, kept);
            if (order == 0) functions[ordinals[name_count]] = added[taken++].rva;
            kept++;
        } else {
            size_t length = strlen(added[taken].name) + 1;
            memcpy(text, added[taken].name, length);
            names[name_count] = (uint32_t)((uint8_t *)text - image->base);
            ordinals[name_count] = (uint16_t)function_count;
            functions[function_count++] = added[taken++].rva;
            text += length;
        }
        name_count++;
    }
    *new = *old;
    new->function_count = function_count;
    new->name_count = name_count;
    new->functions = (uint32_t)((uint8_t *)functions - image->base);
    new->names = (uint32_t)((uint8_t *)names - image->base);
    new->ordinals = (uint32_t)((uint8_t *)ordinals - image->base);
    return (uint32_t)((uint8_t *)text - at);
}
