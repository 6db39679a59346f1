/* SPDX-License-Identifier: MIT
 *
 * The life of a permit: granted at once or handed to the first who waits, cancelled while it is
 * granted, used, dropped. The protocol of every store and limit with waiters:
 *
 *   Caller          exec/waiter.hpp             BlockingWaiter::wait, the same for a coroutine;
 *                   store/connection_pool.hpp   acquire, Lease: give_back and drop
 *                   layer/gate.hpp              a permit settled, or destroyed unsettled
 *   waiting         exec/waiter.hpp             WaitList, under the store's lock
 *   Stop            a stop token or a timer, which withdraws the waiter
 *
 * Membership of the list is the truth: whoever unlinks a waiter, under the lock, decides how its
 * wait ends, and wakes it after, without the lock.
 *
 * Safe: free + granted permits are always CAPACITY. Live: whoever waits comes to an end, also if
 * nobody is ever stopped.
 *
 * Mutants, each of which must be refuted:
 *   FORGET_GRANT    who is stopped while it is granted goes away without giving back
 *   LOOK_UNLOCKED   the stop looks whether it is linked, and unlinks it later
 *   RELEASE_TWICE   a permit that was settled is given back again when it is destroyed
 *   NO_HAND_OVER    a permit given back wakes nobody
 */
#define CALLERS 3
#ifndef CAPACITY
#define CAPACITY 1
#endif

mtype = { outside, waits, granted, stopped };

byte free_permits = CAPACITY;
mtype how[CALLERS];           /* as its waiter stands */
bool woken[CALLERS];
chan waiting = [CALLERS] of { byte };
bool locked = false;
byte stops = 0;
byte owned[CALLERS];          /* permits that are its own, in its hands or on their way */

#define LOCK atomic { !locked -> locked = true }
#define UNLOCK locked = false
#define BALANCED (free_permits + owned[0] + owned[1] + owned[2] == CAPACITY)

inline put() {
  LOCK;
  atomic {
    assert(owned[me] > 0);
    owned[me]--;
#ifdef NO_HAND_OVER
    free_permits++; next = CALLERS
#else
    if
    :: waiting ? next -> how[next] = granted; owned[next]++
    :: empty(waiting) -> free_permits++; next = CALLERS
    fi
#endif
  };
  UNLOCK;
  if
  :: next < CALLERS -> woken[next] = true
  :: else
  fi
}

proctype Caller(byte me) {
  byte next;
end:
  do
  :: next = 0;
     LOCK;
     atomic {
       if
       :: free_permits > 0 && empty(waiting) ->
          free_permits--; owned[me]++; how[me] = granted; woken[me] = true
       :: else -> how[me] = waits; woken[me] = false; waiting ! me
       fi
     };
     UNLOCK;
     woken[me];
     if
     :: how[me] == stopped -> goto ended
     :: else
     fi;
#ifdef FORGET_GRANT
     if
     :: skip
     :: atomic { stops < 2 -> stops++; owned[me]--; goto ended }
     fi;
#endif
     assert(owned[me] == 1);
     /* The call: it ends, throws or is cancelled, and its permit is given back in each case. */
     put();
#ifdef RELEASE_TWICE
     put();
#endif
ended:
     atomic { assert(owned[me] == 0); how[me] = outside; woken[me] = false }
  od
}

proctype Stop(byte me) {
  bool mine;
end:
  do
  :: atomic { how[me] == waits && stops < 2 -> stops++ };
     mine = false;
#ifdef LOOK_UNLOCKED
     mine = (waiting ?? [eval(me)]);
     LOCK;
     if
     :: waiting ?? [eval(me)] -> waiting ?? eval(me)
     :: else
     fi;
#else
     LOCK;
     if
     :: waiting ?? [eval(me)] -> waiting ?? eval(me); mine = true
     :: else
     fi;
#endif
     if
     :: mine -> how[me] = stopped
     :: else
     fi;
     UNLOCK;
     if
     :: mine -> woken[me] = true
     :: else
     fi
  od
}

proctype Watch() {
end:
  !BALANCED -> assert(false)
}

init {
  atomic {
    how[0] = outside; how[1] = outside; how[2] = outside;
    run Caller(0); run Caller(1); run Caller(2);
    run Stop(0); run Stop(1); run Watch()
  }
}

ltl waits_end { [] ((how[2] == waits) -> <> (how[2] != waits)) }
