/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the kernel. One is first tried on the thread that took it, without waiting for the store; where that does not do, it goes on
 * on a thread of the pool, where it may be interrupted and is answered with EIO after OP_LIMIT_MS at the latest. Each request is answered once: whoever claims it.
 *
 *   taken --answered at once--> done
 *     \--would block--> pending --claimed by: the pool's thread | the watch (interrupt: EINTR, too old: EIO)--> done
 *
 * The watch is a thread of its own because a request must not be answered from within libfuse's interrupt callback (it may be freed under its caller).
 */
#ifndef SSTABLEFS_FS_OP_H
#define SSTABLEFS_FS_OP_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <pthread.h>
#include "base/log.h"
#include "base/metrics.h"
#include "base/pool.h"
#include "fs/fs.h"

#define OP_LIMIT_MS 120000 /* no request waits longer for its answer (docs/mount.md) */
#define OP_THREADS 64
#define OP_BUCKETS 256

struct server { /* what the adapters share; made and ended by mount.c */
	struct fs *fs;
	struct pool *pool;
	struct fuse_session *session;
	struct prefill *prefill;
	struct log *log;
	const struct clock *clock;
	int trace_fd;
	int64_t limit_ms;
	const struct cancel *stop;
	void (*ready)(void *ctx); /* called when INIT was answered */
	void *ready_ctx;
	struct metric *requests, *slow, *failed, *interrupted, *late;
	bool xattr;

	pthread_mutex_t lock; /* everything below */
	pthread_cond_t changed;
	pthread_t watch;
	bool watching, ending;
	uint64_t last_id;
	struct op *pending[OP_BUCKETS]; /* by id */
};

struct op;
/* Runs the request; with w.wait = false may answer FS_WOULD_BLOCK, having answered nothing. */
typedef int op_run(struct server *s, struct op *op, struct view_wait w);

struct op {
	fuse_req_t req;
	const char *what; /* for logs and traces */
	op_run *run;
	uint64_t ino;
	const char *name; /* borrowed; a copy once pending */
	off_t offset;
	size_t size;
	struct fuse_file_info fi;
	/* of what changes something */
	uint64_t to_parent; /* of a new name: rename, link */
	const char *to;	    /* a new name, or where a symlink points; kept as `name` is */
	mode_t mode;
	unsigned flags;
	const struct stat *attr; /* of a request that never waits, as are these */
	const void *data;
	void (*drop)(
		struct op *op); /* called once, when the request is done with for good; may be NULL */
	int result; /* for the trace: 0, or the negative errno of the answer; bytes of a write */
	uint64_t found; /* for the trace: the inode that the answer gives; else 0 */
	/* private */
	struct server *server;
	uint64_t id; /* 0: not pending, claimed by its own thread from the start */
	bool claimed, was_interrupted;
	int late; /* the errno that the watch answered with; 0: it did not */
	bool armed; /* libfuse has returned from taking on_interrupt: from now on the watch may answer */
	int64_t begun_ms;
	struct cancel cancel;
	char *own_name, *own_to;
	struct op *next;
};

/* 0 or < 0. */
int op_server_start(struct server *s, struct metrics *m);
/* Whatever waits for the store gives up soon: the mount ends. */
void op_server_cancel(struct server *s);
/* Answers what is pending and ends the watch; the pool must be drained first. */
void op_server_stop(struct server *s);

/* Takes a request: `op` lies on the caller's stack. */
void op_take(struct server *s, struct op *op);
/* true: the caller must answer now, and nobody else will. */
bool op_claim(struct op *op);
/* Claims and answers with an error: logged where it is not an everyday one, and mapped to what a file system may answer. */
void op_fail(struct op *op, int code, const struct err *e);
/* Answers a claimed request with an error that is for the program that asked. */
void op_refuse(struct op *op, int code);

#endif
