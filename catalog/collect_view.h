/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the records and the pins of a node say at one time: records are read to the end, and only then pins, so that a reader whose pin was written before its
 * record was deleted is seen one way or the other. Internal to catalog/collect*.c.
 */
#ifndef SSTABLEFS_CATALOG_COLLECT_VIEW_H
#define SSTABLEFS_CATALOG_COLLECT_VIEW_H

#include "catalog/collect_state.h"
#include "catalog/pins.h"

struct collect_record {
	struct record_key key;
	bool there; /* it was read; else gone meanwhile, or unreadable */
	enum record_state state;
	struct place root; /* of a COMMITTED one */
};

struct collect_pin {
	struct pins_item item;
	bool there;
	struct pin pin;
};

struct collect_view {
	struct collect_record *records; /* in order of (backup, writer) */
	size_t record_count, record_cap;
	struct collect_pin *pins;
	size_t pin_count;
};

void collect_view_deinit(struct collect_view *v);
/* LISTs and GETs the records. What cannot be read is noted, and blocks. */
int collect_view_records(struct collect *c, struct collect_view *v, struct err *e);
/* The same for the pins; after the records. */
int collect_view_pins(struct collect *c, struct collect_view *v, struct err *e);
/* Ends what is dead: OPEN records, HELD pins that were not renewed for long. Nothing where the view is blocked. */
int collect_view_fence_records(struct collect *c, struct collect_view *v, struct err *e);
int collect_view_fence_pins(struct collect *c, struct collect_view *v, struct err *e);
/* NULL: there is none. */
const struct collect_record *collect_view_find(const struct collect_view *v, const char *backup,
					       const struct ulid *writer);

#endif
