/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletion without locks (docs/deletion.md), for Spin. A step of a process is one request to the store, or one choice of its own; the store is the
 * global variables. A process that crashed is one that takes no more steps, so every state is also that of a crash; what a crash leaves to somebody else
 * (a resumed backup, the next collector's run) has a process of its own. Clocks decide nothing: a record may be taken for dead at any time, and a
 * backup be deleted at any time.
 *
 * Configuration, by -D: WRITERS (1 to 3), COLLECTORS (0 to 3), RESUME (a second process for writer 1, whose first may be alive),
 * READER, ONE_NAME (all writers want one name; answers get lost), RENEW, REMOVE (ended records are removed), FULL (gc --full), EVERYTHING
 * (with FULL: every key is condemned). Broken variants, by
 * -D too: each #ifdef with a name that begins with BREAK_ is one; tests/model/check lists them.
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef COLLECTORS
#define COLLECTORS 2
#endif

/* Writer 0 is a backup that was committed before. Process p > 0 is that of writer p; the resumed one comes after them. */
#define RECORDS (WRITERS + 1)
#define RESUMED RECORDS
#define OTHER 255 /* the nonce of a fencer or deleter */

/* A key is a bit: the object of writer w, the tree of process p. All backups hold the same one content. */
#define OBJECT(w) (1 << (w))
#define TREE(p) (1 << (RECORDS + (p)))
#ifdef RESUME
#define KEYS (2 * RECORDS + 1)
#define KEYS_OF(w) (OBJECT(w) | TREE(w) | ((w) == 1 -> TREE(RESUMED) : 0))
#else
#define KEYS (2 * RECORDS)
#define KEYS_OF(w) (OBJECT(w) | TREE(w))
#endif

#ifdef RESUME
#define ANY_ORDER_OF_WRITERS true
#else
#define ANY_ORDER_OF_WRITERS false
#endif

#define NONE 0
#define OPEN 1
#define COMMITTED 2
#define ABORTED 3
#define DELETED 4
#define GONE 5 /* removed */

/* ---- the store ---- */

typedef record_t {
	byte state;
	byte sequence;
	byte nonce; /* the process */
	byte root;  /* the process whose tree is the root; kept for the checks after the end */
}
record_t record[RECORDS];
short present;                  /* the keys that are there */
short reach[RECORDS + 1];       /* what the tree of each process names: immutable as trees are */

typedef list_t {
	bool there, waits;
	short keys;
	byte for_whom; /* records, as bits */
}
list_t list[COLLECTORS + 1]; /* one for each collector's run */

bool pin_held, pin_valid;
byte pin_root, pin_record;

/* ---- what is only for the checks, and local disks ---- */

byte told[RECORDS + 1];    /* root + 1 of the commit that this process reported as done */
bool acknowledged;         /* writer 1's disk: its object was uploaded */
byte renewals[RECORDS];
byte ever;                 /* records that were committed once: what a local state may still say */

#define WHOLE(tree) (((TREE(tree) | reach[tree]) & present) == (TREE(tree) | reach[tree]))
#define REACHED(r) (TREE(record[r].root) | reach[record[r].root])
#define BIT(r) (1 << (r))
#ifdef ORDERED /* what is to be read is read by its number: fewer states */
#define IS_NEXT(r) ((todo & BIT(r)) && !(todo & (BIT(r) - 1)))
#else
#define IS_NEXT(r) (todo & BIT(r))
#endif

#ifdef BREAK_NO_NONCE
#define NONCE(p) 0
#else
#define NONCE(p) (p)
#endif
#ifdef BREAK_SAME_BODY /* neither nonce nor number: a renewal changes no byte, so no ETag */
#define NEXT(n) (n)
#else
#define NEXT(n) ((n) + 1)
#endif

inline write_record(r, new_state, by)
{
	record[r].state = new_state;
	record[r].sequence = NEXT(record[r].sequence);
	record[r].nonce = NONCE(by)
}

/* ---- writer ---- */

/* The ETag is that of our last write: we wrote it OPEN with number `sequence`, and nobody wrote since. */
#define IS_OURS(w, p) (record[w].state == OPEN && record[w].sequence == sequence && record[w].nonce == NONCE(p))
/* What a GET shows after a write of ours that was answered with 412 or not at all. */
#define WAS_WRITTEN(w, p) (record[w].sequence == NEXT(sequence) && record[w].nonce == NONCE(p))

inline open_record(w, p)
{
	d_step {
		/* Writers 1 and 2 are alike: it is enough to look at one order. */
		(w) != 2 || record[1].state != NONE || ANY_ORDER_OF_WRITERS;
		write_record(w, OPEN, p);
		sequence = record[w].sequence
	}
}

/* W1's second half: nobody else has the name. Alive or dead is a matter of time: either may be found. */
inline look_at_name(w, p, r)
{
	if
	:: d_step { r == w || record[r].state == NONE || record[r].state > COMMITTED -> skip }
	:: d_step { r != w && record[r].state == COMMITTED -> skip } -> goto withdraw
	:: d_step { r != w && record[r].state == OPEN -> skip } -> goto withdraw
	:: d_step { r != w && record[r].state == OPEN -> other = record[r].sequence; nonce = record[r].nonce };
		fence: skip;
		if
		:: d_step { record[r].state == OPEN && record[r].sequence == other && record[r].nonce == nonce ->
			   write_record(r, ABORTED, p) }
		:: d_step { !(record[r].state == OPEN && record[r].sequence == other && record[r].nonce == nonce) -> skip } ->
			goto withdraw
		fi;
		d_step { other = 0; nonce = 0 }
	fi
}

#ifndef ONE_NAME
#define claim_name(who, as) skip
#else
inline claim_name(who, as)
{
	i = 1;
	do
	:: i < RECORDS -> look_at_name(who, as, i); i++
	:: i == RECORDS -> break
	od;
	i = 0
}
#endif

/* W2. A list that is not there any more when it is read is finished. In any order: LIST and GETs by pages and side by side. */
#define READ_LIST(n) d_step { (n) < COLLECTORS && IS_NEXT(n) -> todo = todo & ~BIT(n); \
		if :: list[n].there -> named = named | list[n].keys :: else fi }

#if COLLECTORS == 0 /* only the records are of interest */
#define w2() skip
#define w2b() skip
#else
inline w2()
{
	todo = BIT(COLLECTORS) - 1;
	do
	:: READ_LIST(0)
#if COLLECTORS > 1
	:: READ_LIST(1)
#endif
#if COLLECTORS > 2
	:: READ_LIST(2)
#endif
	:: todo == 0 -> break
	od
}

/* A record is read, and what its tree names: if it cannot be any more, it was deleted meanwhile, and is as good as read later. */
#define READ_SOURCE(r) d_step { IS_NEXT(r) -> todo = todo & ~BIT(r); \
		if :: record[r].state == COMMITTED && (TREE(record[r].root) & present) -> from = from | BIT(r) :: else fi }

inline w2b()
{
	todo = BIT(RECORDS) - 1;
	do
	:: READ_SOURCE(0)
	:: READ_SOURCE(1)
#if WRITERS > 1
	:: READ_SOURCE(2)
#endif
#if WRITERS > 2
	:: READ_SOURCE(3)
#endif
	:: todo == 0 -> break
	od
}
#endif

#ifdef BREAK_TREE_BY_ITS_OWN_KEY
#define FREE_TREE(r) (!(TREE(record[r].root) & named))
#else
#define FREE_TREE(r) (!(REACHED(r) & named))
#endif
#define FREE_OBJECT(r) (!(reach[record[r].root] & named))

#ifdef BREAK_KEY_REUSED /* the name of a content is its digest, whoever uploads it */
#define OWN_OBJECT(w) OBJECT(0)
#else
#define OWN_OBJECT(w) OBJECT(w)
#endif

/* Who is ended for so long that its record was removed sends nothing any more (RENEW_LIMIT_MS against 30 days). */
#define MAY_SEND(w) (record[w].state != GONE)

#define REUSE(r) \
	:: d_step { (from & BIT(r)) && FREE_TREE(r) -> root = record[r].root; from = 0; named = 0 } -> goto w5 \
	:: d_step { (from & BIT(r)) && FREE_OBJECT(r) -> object = reach[record[r].root]; from = 0; named = 0 }

/* W3: the root is a tree of another backup, or one of our own that names another's object or our own. */
inline w3(w, p)
{
	if
	REUSE(0)
	REUSE(1)
#if WRITERS > 1
	REUSE(2)
#endif
#if WRITERS > 2
	REUSE(3)
#endif
	:: d_step { MAY_SEND(w) -> present = present | OWN_OBJECT(w); object = OWN_OBJECT(w); from = 0; named = 0 };
		if
		:: w == 1 -> acknowledged = 1
		:: skip
		fi
#ifdef RESUME
#ifdef BREAK_RESUME_BELIEVES_UNACKNOWLEDGED
	:: d_step { p == RESUMED -> object = OWN_OBJECT(w); from = 0; named = 0 }
#else
	:: d_step { p == RESUMED && acknowledged -> object = OWN_OBJECT(w); from = 0; named = 0 }
#endif
#endif
	fi;
	d_step { MAY_SEND(w) -> present = present | TREE(p); reach[p] = object; object = 0; root = p }
}

/* W4, once: it proves to others that it is alive, and keeps what it knows about its own record up to date. */
#ifndef RENEW
#define w4(w, p) skip
#else
inline w4(w, p)
{
	if
	:: skip
	:: d_step { IS_OURS(w, p) -> write_record(w, OPEN, p); sequence = record[w].sequence; renewals[w]++ }
	:: d_step { !IS_OURS(w, p) -> skip };
#ifdef BREAK_NO_NONCE
		if
		:: d_step { WAS_WRITTEN(w, p) -> sequence = record[w].sequence }
		:: else -> goto end
		fi
#else
		goto end
#endif
	fi
}
#endif

inline commit(w, p)
{
#ifdef BREAK_COMMIT_WITHOUT_CAS
	d_step { MAY_SEND(w) -> write_record(w, COMMITTED, p); record[w].root = root; ever = ever | BIT(w); told[p] = root + 1 }
#else
	if
	:: d_step { IS_OURS(w, p) -> write_record(w, COMMITTED, p); record[w].root = root; ever = ever | BIT(w); told[p] = root + 1 }
#ifdef ONE_NAME /* the answer was lost; who is not told ends, or looks */
	:: d_step { IS_OURS(w, p) -> write_record(w, COMMITTED, p); record[w].root = root; ever = ever | BIT(w) } -> goto look
#endif
	:: d_step { !IS_OURS(w, p) -> skip } -> goto look
	fi
#endif
}

inline find_out(w, p)
{
	if
	:: d_step { WAS_WRITTEN(w, p) -> told[p] = root + 1 }
	:: d_step { !WAS_WRITTEN(w, p) -> skip }
	fi
}

#define WRITER_LOCALS byte sequence, todo, from, root, other, nonce, i; short named, object

proctype writer(byte me)
{
	WRITER_LOCALS;
#if defined(BREAK_W2B_BEFORE_W1)
	w2b();
	open_record(me, me);
	w2();
#elif defined(BREAK_W2_BEFORE_W1)
	w2();
	open_record(me, me);
	w2b();
#elif defined(BREAK_W2B_BEFORE_W2)
	open_record(me, me);
	w2b();
	w2();
#elif defined(BREAK_NO_W2)
	open_record(me, me);
	w2b();
#else
	open_record(me, me);
	claim_name(me, me);
	w2();
	w2b();
#endif
#ifdef BREAK_LOCAL_STATE
	atomic { from = ever };
#endif
	w3(me, me);
w5:	w4(me, me);
	commit(me, me);
	goto end;
look:	find_out(me, me);
	goto end;
withdraw:
	if
	:: d_step { IS_OURS(me, me) -> write_record(me, ABORTED, me) }
	:: d_step { !IS_OURS(me, me) -> skip }
	fi;
end:	skip;
	d_step { sequence = 0; from = 0; todo = 0; root = 0; other = 0; nonce = 0; i = 0; named = 0; object = 0 }
}

#ifdef RESUME
/* Another process goes on with writer 1's record. The first may be dead, or only slow. */
proctype resumed()
{
	WRITER_LOCALS;
#ifdef BREAK_RESUME_WITHOUT_CAS
	d_step { record[1].state == OPEN -> skip };
	d_step { write_record(1, OPEN, RESUMED); sequence = record[1].sequence };
#else
	/* A write by compare-and-swap that fails changes nothing, so that read and write may be one step. */
	d_step { record[1].state == OPEN -> write_record(1, OPEN, RESUMED); sequence = record[1].sequence };
#endif
#ifndef BREAK_RESUME_WITHOUT_NAME
	claim_name(1, RESUMED);
#endif
#ifndef BREAK_RESUME_WITHOUT_W2
	w2();
#endif
#ifdef BREAK_RESUME_WITHOUT_W2B
	atomic { from = ever };
#else
	w2b();
#endif
	w3(1, RESUMED);
w5:	w4(1, RESUMED);
	commit(1, RESUMED);
	goto end;
look:	find_out(1, RESUMED);
	goto end;
withdraw:
	if
	:: d_step { IS_OURS(1, RESUMED) -> write_record(1, ABORTED, RESUMED) }
	:: d_step { !IS_OURS(1, RESUMED) -> skip }
	fi;
end:	skip;
	d_step { sequence = 0; from = 0; todo = 0; root = 0; other = 0; nonce = 0; i = 0; named = 0; object = 0 }
}
#endif

/* ---- collector ---- */

#define READ_STATE(r) d_step { IS_NEXT(r) -> todo = todo & ~BIT(r); \
		if \
		:: record[r].state == COMMITTED -> live = live | REACHED(r) \
		:: record[r].state == ABORTED || record[r].state == DELETED -> ended = ended | BIT(r) \
		:: record[r].state == OPEN -> open = open | BIT(r) \
		:: else \
		fi }

inline read_records()
{
	todo = BIT(RECORDS) - 1;
	do
	:: READ_STATE(0)
	:: READ_STATE(1)
#if WRITERS > 1
	:: READ_STATE(2)
#endif
#if WRITERS > 2
	:: READ_STATE(3)
#endif
	:: todo == 0 -> break
	od
}

#ifndef READER
#define read_pins() skip
#else
inline read_pins()
{
	d_step { if :: pin_held -> live = live | TREE(pin_root) | reach[pin_root] :: else fi }
}
#endif

/* Records to the end, then pins. */
inline read_roots()
{
#ifdef BREAK_PINS_BEFORE_RECORDS
	read_pins();
	read_records();
#else
	read_records();
#ifndef BREAK_NO_PINS
	read_pins();
#endif
#endif
}

#define OF_ENDED(r) ((ended & BIT(r)) -> KEYS_OF(r) : 0)
#define OF_OPEN(r) ((open & BIT(r)) -> KEYS_OF(r) : 0)
#if WRITERS == 1
#define OF_ALL(x) (x(0) | x(1))
#elif WRITERS == 2
#define OF_ALL(x) (x(0) | x(1) | x(2))
#else
#define OF_ALL(x) (x(0) | x(1) | x(2) | x(3))
#endif

inline c1()
{
#ifdef FULL /* all keys, listed before the records */
	d_step { keys = present };
	read_roots();
#ifdef EVERYTHING /* C1 may err as it likes */
	atomic { keys = present; live = 0; open = 0; ended = 0 }
#else
	atomic { keys = keys & ~live & ~OF_ALL(OF_OPEN); live = 0; open = 0; ended = 0 }
#endif
#else
	read_roots();
	atomic { keys = OF_ALL(OF_ENDED) & present & ~live; live = 0; open = 0; ended = 0 }
#endif
}

inline put_waits(n)
{
	/* 412: somebody else was first, and that file counts. Without its list it is rubbish. */
	d_step {
		if
		:: list[n].there && !list[n].waits -> list[n].waits = 1; list[n].for_whom = open
		:: else
		fi;
		open = 0; live = 0; ended = 0
	}
}

#define OPENED(r) (record[r].state == OPEN -> BIT(r) : 0)

#ifdef BREAK_DUE_AT_ONCE
#define DUE(n) (list[n].there && list[n].waits)
#else
/* Read one by one in truth; none becomes OPEN again. */
#define DUE(n) (list[n].there && list[n].waits && !(list[n].for_whom & OF_ALL(OPENED)))
#endif

#ifdef ONE_ROUND /* each works off one list */
#define ROUND_ENDS end
#else
#define ROUND_ENDS work
#endif

proctype collector(byte c)
{
	byte todo, open, ended, n;
	short live, keys;

#ifdef LAZY /* a collector that only works off lists */
	if
	:: c > 0 -> goto work
	:: else
	fi;
#endif
	c1();
	if
	:: keys == 0 -> goto work
	:: else
	fi;
#ifdef BREAK_C3_BEFORE_C2
	read_records();
	atomic { list[c].there = 1; list[c].keys = keys; keys = 0 };
#else
	d_step { list[c].there = 1; list[c].keys = keys; keys = 0 };
	read_records();
#endif
	put_waits(c);

work:	/* any list, by any collector, as often as it likes */
	do
	:: d_step { list[0].there && !list[0].waits -> n = 0 }; goto again
#if COLLECTORS > 1
	:: d_step { list[1].there && !list[1].waits -> n = 1 }; goto again
#endif
#if COLLECTORS > 2
	:: d_step { list[2].there && !list[2].waits -> n = 2 }; goto again
#endif
	:: d_step { DUE(0) -> n = 0; keys = list[0].keys }; break
#if COLLECTORS > 1
	:: d_step { DUE(1) -> n = 1; keys = list[1].keys }; break
#endif
#if COLLECTORS > 2
	:: d_step { DUE(2) -> n = 2; keys = list[2].keys }; break
#endif
	od;

	/* C4 */
#ifndef BREAK_NO_C4
	read_roots();
#ifdef BREAK_NO_LAST_GET
	atomic { keys = keys & ~live; live = 0; open = 0; ended = 0 };
#else
	if
	:: atomic { list[n].there -> keys = keys & ~live; live = 0; open = 0; ended = 0 }
	:: atomic { !list[n].there -> keys = 0; live = 0; open = 0; ended = 0; n = 0 }; goto ROUND_ENDS
	fi;
#endif
#endif
	/* A batch is not one step. */
	do
	:: keys == 0 -> break
	:: d_step { keys != 0 -> present = present & ~(keys & -keys); keys = keys & (keys - 1) }
	od;
	atomic { list[n].waits = 0; list[n].for_whom = 0 };
	d_step { list[n].there = 0; list[n].keys = 0; n = 0 };
#ifdef ONE_ROUND
	goto end;
#endif
	goto work;

again:	read_records();
	put_waits(n);
	n = 0;
	goto work;
end:	skip
}

/* ---- reader ---- */

#ifdef READER
proctype reader()
{
	byte r;

	do
	:: r < RECORDS - 1 -> r++
	:: break
	od;
#ifdef BREAK_RECORD_READ_BEFORE_PIN
	atomic { record[r].state == COMMITTED -> pin_root = record[r].root; pin_record = r };
	d_step { pin_held = 1; pin_valid = 1 };
#else
	/* As listed before: it may be deleted by now. */
	atomic { ever & BIT(r) -> pin_root = record[r].root; pin_record = r; pin_held = 1 };
	if
	:: d_step { record[r].state == COMMITTED && pin_held -> pin_valid = 1 }
	:: d_step { !(record[r].state == COMMITTED && pin_held) -> skip }
	fi;
#endif
	d_step { pin_held = 0; pin_valid = 0; pin_root = 0; pin_record = 0; r = 0 }
}
#endif

/* ---- who deletes, who fences, who removes ---- */

#ifdef BREAK_FENCE_WITHOUT_CAS
#define BLIND 1
#else
#define BLIND 0
#endif

proctype fencer()
{
	byte r, sequence, nonce, seen;

	/* Compare-and-swap on what was read: one step, unless what happens in between is the question. */
#if defined(RENEW) || BLIND
	do
	:: r < RECORDS - 1 -> r++
	:: break
	od;
	atomic { record[r].state == OPEN -> sequence = record[r].sequence; nonce = record[r].nonce; seen = renewals[r] };
	d_step { BLIND || (record[r].state == OPEN && record[r].sequence == sequence && record[r].nonce == nonce) ->
		assert(BLIND || seen == renewals[r]); /* nobody is ended who renewed since it was found dead */
		write_record(r, ABORTED, OTHER);
		r = 0; sequence = 0; nonce = 0; seen = 0 }
#else
	do
	:: d_step { record[1].state == OPEN -> write_record(1, ABORTED, OTHER) }
#if WRITERS > 1
	:: d_step { record[2].state == OPEN -> write_record(2, ABORTED, OTHER) }
#endif
#if WRITERS > 2
	:: d_step { record[3].state == OPEN -> write_record(3, ABORTED, OTHER) }
#endif
#ifdef READER
	:: d_step { pin_held -> pin_held = 0; pin_valid = 0 } /* a reader that finds out answers EIO */
#endif
	od
#endif
}

#define DELETE(r) d_step { record[r].state == COMMITTED -> write_record(r, DELETED, OTHER) }

proctype deleter()
{
	do
	:: DELETE(0)
	:: DELETE(1)
#if WRITERS > 1
	:: DELETE(2)
#endif
#if WRITERS > 2
	:: DELETE(3)
#endif
	od
}

#ifdef BREAK_RECORDS_GO_FIRST
#define EMPTY(r) true
#else
#define EMPTY(r) (!(present & KEYS_OF(r)))
#endif
#define REMOVE_RECORD(r) d_step { (record[r].state == ABORTED || record[r].state == DELETED) && EMPTY(r) -> \
		record[r].state = GONE; record[r].sequence = 0; record[r].nonce = 0 }

#ifdef REMOVE
proctype remover()
{
	do
	:: REMOVE_RECORD(0)
	:: REMOVE_RECORD(1)
#if WRITERS > 1
	:: REMOVE_RECORD(2)
#endif
	od
}
#endif

#ifdef BREAK_LIST_PUT_TWICE
/* The client sends C2's PUT again under the same ULID, long after. */
proctype twice()
{
	short keys;

	d_step { list[0].there -> keys = list[0].keys };
	d_step { !list[0].there -> list[0].there = 1; list[0].keys = keys }
}
#endif

/* ---- what must hold in every state ---- */

#define LOST(r) (record[r].state == COMMITTED && !WHOLE(record[r].root))
#define LEAKED(r) (record[r].state == GONE && (present & KEYS_OF(r)))
#define LIE(p, w) (told[p] && !((record[w].state == COMMITTED || record[w].state >= DELETED) && record[w].root + 1 == told[p]))

proctype monitor()
{
	if
	:: d_step { LOST(0) || LOST(1) -> assert(false) }
	:: d_step { LEAKED(0) || LEAKED(1) -> assert(false) }
	:: d_step { LIE(1, 1) -> assert(false) }
#if WRITERS > 1
	:: d_step { LOST(2) || LEAKED(2) -> assert(false) }
	:: d_step { LIE(2, 2) -> assert(false) }
#endif
#if WRITERS > 2
	:: d_step { LOST(3) || LEAKED(3) -> assert(false) }
	:: d_step { LIE(3, 3) -> assert(false) }
#endif
#ifdef RESUME
	:: d_step { LIE(RESUMED, 1) -> assert(false) }
#endif
#ifdef READER
	:: d_step { pin_valid && !WHOLE(pin_root) -> assert(false) }
#endif
#ifdef ONE_NAME
	:: d_step { record[1].state == COMMITTED && record[2].state == COMMITTED -> assert(false) }
#endif
	fi
}

init
{
	byte i;

	atomic {
		record[0].state = COMMITTED;
		record[0].sequence = 1;
		present = OBJECT(0) | TREE(0);
		reach[0] = OBJECT(0);
		ever = BIT(0);
		for (i : 1 .. WRITERS) {
			run writer(i)
		}
		i = 0;
		do
		:: i < COLLECTORS -> run collector(i); i++
		:: else -> break
		od;
		i = 0;
		run deleter();
#ifndef NO_FENCES
		run fencer();
#endif
#ifdef RESUME
		run resumed();
#endif
#ifdef READER
		run reader();
#endif
#ifdef REMOVE
		run remover();
#endif
#ifdef BREAK_LIST_PUT_TWICE
		run twice();
#endif
		run monitor()
	}
}
