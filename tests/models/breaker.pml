/* SPDX-License-Identifier: MIT
 *
 * The half-open protocol of the circuit breaker: one word for {state, generation, deadline}, one
 * word per probe's place. Each atomic block is one atomic operation of the code, and between two
 * of them any other thread may run:
 *
 *   Client          policy/circuit_breaker.hpp  admit, admit_by_step, settle_call, settle_probe,
 *                                               judge_probes, open, move
 *   places[]        policy/half_open.hpp        ProbePlaces: take, settle, free, tally
 *   Clock           whatever time makes of a word: Circuit::until, Lease::until
 *
 * Generations are kept as ages: how many the circuit is ahead of a word that was read, of a
 * permit or of a place. Three and more are one age, so there are as many generations as you like.
 * Time is any order of "the open time is over" and "this lease has lapsed". All PROBES must
 * succeed. One probe is cancelled and one lapses, at most, and one hangs for ever: were every
 * probe cancelled, nothing could ever be learnt.
 *
 * Safe: never more probes than places; no result moves a generation that is not its own; half
 * open only after the whole open time. Live: half open ends.
 *
 * Mutants, each of which must be refuted:
 *   NO_GENERATION   a result compares the state alone           (resilience.md trap 3)
 *   SPLIT_DEADLINE  the state is published before the deadline  (trap 4)
 *   LOAD_AND_STORE  a place is taken by a load and a store      (trap 1)
 *   TAKE_FROM_AHEAD a thread that is behind takes a place of a newer generation
 *   LEAK_ON_CANCEL  a cancelled probe keeps its place           (trap 2)
 *   NO_LEASE        a probe that hangs keeps its place          (trap 1)
 *   LOOK_FIRST      a probe sums the verdicts before it gives its own
 */
#define CLIENTS 2
#ifndef PROBES
#define PROBES 2
#endif
#define OLDEST 3
#define NOBODY 255

mtype = { closed, open, half_open };
mtype = { vacant, leased, succeeded, failed };

typedef Place {
  mtype verdict = vacant;
  byte age;
  byte owner = NOBODY;
  bool lapsed
};

mtype state = closed;
bool over = false;  /* the deadline in the word has passed */
Place places[PROBES];
byte age[CLIENTS];  /* of what the client goes by */

/* What the checks know, and the code does not. */
bool probing[CLIENTS]; /* it was let through as a probe, and has not come back */
bool lapsed[CLIENTS];  /* ... and its lease has lapsed */
bool open_time_over = false;
byte hanging = NOBODY;
bool one_cancelled = false;
bool one_lapsed = false;

#define OUT(c) (probing[c] && !lapsed[c] && age[c] == 0)
#define GIVEN(p) \
  ((places[p].verdict == succeeded || places[p].verdict == failed) && places[p].age == 0)
#if PROBES == 1
#define IN_USE (OUT(0) + OUT(1) + GIVEN(0))
#else
#define IN_USE (OUT(0) + OUT(1) + GIVEN(0) + GIVEN(1))
#endif

inline grow_older(years) {
  if
  :: years < OLDEST -> years++
  :: else
  fi
}
inline move_to(to) {
  state = to;
  grow_older(age[0]);
  grow_older(age[1]);
  grow_older(places[0].age);
#if PROBES > 1
  grow_older(places[1].age)
#endif
}
inline open_it() {
  move_to(open);
#ifndef SPLIT_DEADLINE
  over = false;
#endif
  open_time_over = false
}
inline vacate(p) {
  places[p].verdict = vacant; places[p].age = 0; places[p].owner = NOBODY;
  places[p].lapsed = false
}

/* leasable: who is behind takes nothing from who is ahead */
#ifdef TAKE_FROM_AHEAD
#define VOID(p) (places[p].age != age[me])
#else
#define VOID(p) (places[p].age > age[me])
#endif
#define LEASABLE(p) \
  (places[p].verdict == vacant || VOID(p) || (places[p].verdict == leased && places[p].lapsed))
#define MINE(p) (places[p].verdict == leased && places[p].owner == me)

inline take(p) {
  places[p].verdict = leased; places[p].age = age[me]; places[p].owner = me;
  places[p].lapsed = false
}
inline look(p) {
  if
  :: places[p].age == age[me] && places[p].verdict == succeeded -> successes++
  :: places[p].age == age[me] && places[p].verdict == failed -> failures++
  :: else
  fi
}

proctype Client(byte me) {
  byte p, successes, failures;
  mtype verdict = vacant;

again:
  atomic {
    p = 0; successes = 0; failures = 0; verdict = vacant;
    probing[me] = false; lapsed[me] = false; age[me] = 0;
    if /* the word, once */
    :: state == closed -> goto called
    :: state == open && !over -> goto again
    :: state == open && over
    :: state == half_open -> goto taking
    fi
  }
  atomic {
    if
    :: age[me] == 0 ->
       assert(open_time_over);
       move_to(half_open); age[me] = 0
    :: else -> goto again
    fi
  }

taking: /* ProbePlaces::take */
  do
  :: atomic { p == PROBES -> goto again } /* refused */
#ifdef LOAD_AND_STORE
  :: atomic { p < PROBES && !LEASABLE(p) -> p++ }
  :: atomic { p < PROBES && LEASABLE(p) -> skip };
     atomic { take(p); break }
#else
  :: atomic {
       p < PROBES ->
       if
       :: LEASABLE(p) -> take(p); break
       :: else -> p++
       fi
     }
#endif
  od;
  atomic { /* does the circuit still stand? */
    if
    :: age[me] == 0 ->
       /* its lease may have lapsed already, and its place have gone to another */
       lapsed[me] = !(MINE(p) && !places[p].lapsed);
       probing[me] = true;
       assert(IN_USE <= PROBES)
    :: else -> goto give_back
    fi
  }

  atomic {
    if
    :: hanging == NOBODY -> hanging = me; goto end_hangs
    :: !one_cancelled -> one_cancelled = true; goto cancelled
    :: lapsed[me] -> goto give_back
    :: !lapsed[me] -> verdict = succeeded
    :: !lapsed[me] -> verdict = failed
    fi
  }
#ifdef LOOK_FIRST
  if
  :: verdict == succeeded -> successes = 1
  :: else -> failures = 1
  fi;
  look(0);
#if PROBES > 1
  look(1);
#endif
#endif
  atomic { /* ProbePlaces::settle */
    probing[me] = false;
    if
    :: MINE(p) ->
       places[p].verdict = verdict; places[p].owner = NOBODY; places[p].lapsed = false
    :: else -> goto again
    fi;
    p = 0; verdict = vacant
  }
#ifndef LOOK_FIRST
  /* ProbePlaces::tally: the places are read one after another */
  atomic { look(0) };
#if PROBES > 1
  atomic { look(1) };
#endif
#endif
  atomic { /* judge_probes */
    if
    :: age[me] == 0 && successes >= PROBES -> move_to(closed); goto again
    :: age[me] == 0 && failures > 0 -> open_it()
    :: else -> goto again
    fi
  }
#ifdef SPLIT_DEADLINE
  over = false;
#endif
  goto again;

called: /* settle_call: a success moves nothing; a failure may be the one that meets a rule */
  if
  :: goto again
  :: skip
  fi;
  atomic {
    if
#ifdef NO_GENERATION
    :: state == closed ->
#else
    :: age[me] == 0 ->
#endif
       assert(age[me] == 0);
       open_it()
    :: else -> goto again
    fi
  }
#ifdef SPLIT_DEADLINE
  over = false;
#endif
  goto again;

cancelled:
#ifdef LEAK_ON_CANCEL
  goto again;
#endif
give_back:
  atomic {
    probing[me] = false;
    if
    :: MINE(p) -> vacate(p)
    :: else
    fi
  }
  goto again;

end_hangs:
  false
}

#define LAPSE(p) places[p].lapsed = true; lapsed[places[p].owner] = probing[places[p].owner]

proctype Clock() {
end:
  do
  :: atomic { state == open && !open_time_over -> open_time_over = true; over = true }
#ifndef NO_LEASE
  :: atomic {
       places[0].verdict == leased && !places[0].lapsed && places[0].owner == hanging -> LAPSE(0)
     }
  :: atomic {
       places[0].verdict == leased && !places[0].lapsed && !one_lapsed -> one_lapsed = true; LAPSE(0)
     }
#if PROBES > 1
  :: atomic {
       places[1].verdict == leased && !places[1].lapsed && places[1].owner == hanging -> LAPSE(1)
     }
#endif
#endif
  od
}

init {
  atomic { run Clock(); run Client(0); run Client(1) }
}

ltl half_open_ends { [] ((state == half_open) -> <> (state != half_open)) }
