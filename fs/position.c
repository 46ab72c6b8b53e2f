/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "fs/fs_private.h"

bool position_good_name(const char *name)
{
	return keys_check_name("name", name, NULL) == 0;
}

/* The next component of *rest into out (at most FORMAT_NAME_BYTES); false where there is none. */
static bool component(const char **rest, char out[FORMAT_NAME_BYTES + 1])
{
	size_t len = strcspn(*rest, "/");

	if (len == 0 || len > FORMAT_NAME_BYTES)
		return false;
	memcpy(out, *rest, len);
	out[len] = '\0';
	*rest += len;
	if (**rest == '/')
		(*rest)++;
	return true;
}

static void parse_node(struct position *p, const char *rest)
{
	char name[FORMAT_NAME_BYTES + 1];

	p->kind = PLACE_NODES;
	if (!component(&rest, p->node))
		return;
	p->kind = PLACE_NODE;
	if (!component(&rest, name))
		return;
	if (strcmp(name, "latest") == 0) {
		p->kind = PLACE_LATEST;
	} else if (strcmp(name, "objects") == 0) {
		p->kind = *rest && util_unhex(&p->first_byte, 1, rest) == 0 ? PLACE_OBJECTS_OF
									    : PLACE_OBJECTS;
	} else {
		strcpy(p->backup, name);
		p->inside = rest;
		p->kind = *rest == '\0'			     ? PLACE_BACKUP
			  : strcmp(rest, "backup.json") == 0 ? PLACE_BACKUP_JSON
							     : PLACE_INSIDE;
	}
}

static void parse_backups(struct position *p, const char *rest)
{
	p->kind = PLACE_BACKUPS;
	if (!component(&rest, p->backup))
		return;
	p->kind = component(&rest, p->node) ? PLACE_LINK : PLACE_NAMED;
}

int position_parse(struct position *p, const char *path)
{
	char name[FORMAT_NAME_BYTES + 1];
	const char *rest;

	if (strlen(path) > FORMAT_PATH_BYTES)
		return -ENAMETOOLONG;
	memset(p, 0, offsetof(struct position, path));
	strcpy(p->path, path);
	p->cluster[0] = p->node[0] = p->backup[0] = '\0';
	p->first_byte = 0;
	p->inside = "";
	rest = p->path;
	if (*rest == '\0') {
		p->kind = PLACE_ROOT;
	} else if (strncmp(rest, ".sstablefs", 10) == 0 && (rest[10] == '\0' || rest[10] == '/')) {
		p->kind = strcmp(rest, ".sstablefs/status") == 0    ? PLACE_STATUS
			  : strcmp(rest, ".sstablefs/metrics") == 0 ? PLACE_METRICS
								    : PLACE_CONTROL;
	} else {
		component(&rest, p->cluster);
		p->kind = PLACE_CLUSTER;
		if (component(&rest, name)) {
			if (strcmp(name, "nodes") == 0)
				parse_node(p, rest);
			else
				parse_backups(p, rest);
		}
	}
	return 0;
}

int position_child(struct position *ret, const struct position *parent, const char *name)
{
	char path[2 * FORMAT_PATH_BYTES];
	size_t parent_len = strlen(parent->path), name_len = strlen(name);

	if (parent_len + 1 + name_len > FORMAT_PATH_BYTES)
		return -ENAMETOOLONG;
	memcpy(path, parent->path, parent_len);
	if (parent_len > 0)
		path[parent_len++] = '/';
	memcpy(path + parent_len, name, name_len + 1);
	return position_parse(ret, path);
}

int position_parent(struct position *ret, const struct position *p)
{
	char path[FORMAT_PATH_BYTES + 1];
	char *last;

	strcpy(path, p->path);
	last = strrchr(path, '/');
	*(last ? last : path) = '\0';
	return position_parse(ret, path);
}

int position_ino(struct fs *f, const struct position *p, const char *target, uint64_t *ret,
		 struct err *e)
{
	struct id256 digest;

	switch (p->kind) {
	case PLACE_ROOT:
		*ret = INODE_ROOT;
		return 0;
	case PLACE_LATEST:
	case PLACE_LINK:
		digest = inode_symlink_digest(p->path, target ? target : "");
		break;
	case PLACE_STATUS:
	case PLACE_METRICS:
	case PLACE_BACKUP_JSON:
		digest = inode_generated_digest(p->path);
		break;
	default:
		digest = inode_dir_digest(p->path);
		target = NULL;
	}
	return index_path(f->o.index, &digest, p->path, target, ret, e);
}
