//! Hands batches to idle threads and returns the results in order, with a bounded number in memory.
//!
//! Every thread works on batches. Some of them, the *lanes*, also read and commit; while a lane can do neither, it
//! works like all others. So `--workers` is the number of busy threads, with one source and with many.
//!
//! Permits bound memory. A batch weighs as many permits as its memory needs, but at most all of them, and is *admitted*
//! when it gets them. Batches are admitted in the order in which they were read: a heavy batch waits for its permits,
//! and batches read after it wait for it. A lane reads on only when all that it has read is admitted.
//!
//! No lane waits for ever. It waits only for the result of its oldest batch, and works meanwhile. If that batch is
//! admitted, some thread in `Crew::until` works on it, the lane itself if need be; then the lane commits it and gives
//! its permits back. So while the first batch of the queue is not admitted, fewer and fewer batches hold permits until
//! none does; then all permits are free, and no batch weighs more. A lane that fails removes its batches from the
//! queue.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rayon::ThreadPool;

use crate::pipeline::error::UnitError;

/// Identifies a batch until its lane commits it.
type Ticket = u64;

/// The state that the threads of a run share: waiting batches, finished results, free permits.
pub(crate) struct Crew<'a, Batch, Output> {
    desk: Mutex<Desk<Batch, Output>>,
    changed: Condvar,
    /// The number of permits.
    permits: usize,
    weigh: Box<dyn Fn(&Batch) -> usize + Sync + 'a>,
    work: Box<dyn Fn(Batch) -> Result<Output, UnitError> + Sync + 'a>,
}

/// Batches and results on their way between threads. It is locked briefly, a few times a batch.
struct Desk<Batch, Output> {
    /// Batches that are not admitted yet, and their weights: at most one of each lane.
    queue: VecDeque<(Ticket, usize, Batch)>,
    /// Admitted batches that no thread has taken yet.
    waiting: VecDeque<(Ticket, Batch)>,
    ready: BTreeMap<Ticket, Result<Output, UnitError>>,
    next_ticket: Ticket,
    /// Free permits.
    permits: usize,
    /// Lanes that may still bring batches.
    lanes: usize,
}

impl<'a, Batch: Send, Output: Send> Crew<'a, Batch, Output> {
    /// A crew that does `work` on each batch. The batches in flight, of all lanes, weigh at most `permits` by `weigh`,
    /// or are one batch that weighs more; besides these, each lane has read at most one.
    pub(crate) fn new(
        lanes: usize,
        permits: usize,
        weigh: impl Fn(&Batch) -> usize + Sync + 'a,
        work: impl Fn(Batch) -> Result<Output, UnitError> + Sync + 'a,
    ) -> Self {
        let permits = permits.max(1);
        let desk = Desk {
            queue: VecDeque::new(),
            waiting: VecDeque::new(),
            ready: BTreeMap::new(),
            next_ticket: 0,
            permits,
            lanes,
        };
        Self { desk: Mutex::new(desk), changed: Condvar::new(), permits, weigh: Box::new(weigh), work: Box::new(work) }
    }

    /// Has the threads of `pool` do all of `units`, and returns what `unit` returns for each, in their order. The first
    /// threads are the lanes: each takes the next unit until there is none. A unit that panics returns what `panicked`
    /// returns, and its lane goes on to the next.
    pub(crate) fn do_units<T: Send>(
        &self,
        pool: &ThreadPool,
        units: Range<usize>,
        unit: impl Fn(usize) -> T + Sync,
        panicked: impl Fn(usize) -> T + Sync,
    ) -> Vec<T> {
        let next = AtomicUsize::new(units.start);
        let lanes = self.desk().lanes;
        let lane = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= units.end {
                    return done;
                }
                let result = catch_unwind(AssertUnwindSafe(|| unit(index)));
                done.push((index, result.unwrap_or_else(|_| panicked(index))));
            }
        };
        let done = pool.broadcast(|thread| {
            let mut done = Vec::new();
            if thread.index() < lanes {
                done = lane();
                self.leave();
            }
            self.help();
            done
        });
        let mut done: Vec<(usize, T)> = done.into_iter().flatten().collect();
        done.sort_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, result)| result).collect()
    }

    /// For a lane: reads batch after batch with `next`, has them worked on, and passes the results to `commit` in the
    /// order of reading.
    ///
    /// `next` and `commit` run on the calling thread. The next batch is read when the one before it is admitted, so the
    /// permits and the lanes bound memory, however slow `commit` is or however large the sources are.
    ///
    /// # Errors
    ///
    /// The first error of the three; [`UnitError::WorkerPanicked`] if the work panics.
    pub(crate) fn in_order(
        &self,
        mut next: impl FnMut() -> Result<Option<Batch>, UnitError>,
        mut commit: impl FnMut(Output) -> Result<(), UnitError>,
    ) -> Result<(), UnitError> {
        let mut in_flight = InFlight { crew: self, batches: VecDeque::new() };
        let mut at_end = false;
        loop {
            while !at_end && !in_flight.is_queued() {
                match next()? {
                    Some(batch) => in_flight.bring(batch),
                    None => at_end = true,
                }
            }
            let Some(oldest) = in_flight.oldest() else { return Ok(()) };
            let output = self.until(|desk| desk.ready.remove(&oldest))?;
            commit(output)?;
            in_flight.end_oldest();
        }
    }

    /// For any thread: works on the lanes' batches until all lanes have left.
    fn help(&self) {
        self.until(|desk| (desk.lanes == 0 && desk.waiting.is_empty()).then_some(()));
    }

    /// For a lane that has nothing more to read.
    fn leave(&self) {
        self.desk().lanes -= 1;
        self.changed.notify_all();
    }

    /// Works on batches until `found` returns something; sleeps while there is no batch.
    fn until<T>(&self, mut found: impl FnMut(&mut Desk<Batch, Output>) -> Option<T>) -> T {
        let mut desk = self.desk();
        loop {
            if let Some(found) = found(&mut desk) {
                return found;
            }
            desk = match desk.waiting.pop_front() {
                Some((ticket, batch)) => {
                    drop(desk);
                    // A panic in a library becomes an error of the batch's unit; the other threads continue.
                    let worked = catch_unwind(AssertUnwindSafe(|| (self.work)(batch)));
                    let mut desk = self.desk();
                    desk.ready.insert(ticket, worked.unwrap_or(Err(UnitError::WorkerPanicked)));
                    self.changed.notify_all();
                    desk
                }
                None => self.changed.wait(desk).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk<Batch, Output>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Batch, Output> Desk<Batch, Output> {
    /// Admits batches as long as there are enough free permits for the next one.
    fn admit(&mut self) {
        while let Some((ticket, weight, batch)) = self.queue.pop_front_if(|(_, weight, _)| *weight <= self.permits) {
            self.permits -= weight;
            self.waiting.push_back((ticket, batch));
        }
    }
}

/// The batches that a lane has read but not committed, oldest first, and their weights.
struct InFlight<'c, 'a, Batch: Send, Output: Send> {
    crew: &'c Crew<'a, Batch, Output>,
    batches: VecDeque<(Ticket, usize)>,
}

impl<Batch: Send, Output: Send> InFlight<'_, '_, Batch, Output> {
    fn bring(&mut self, batch: Batch) {
        let weight = (self.crew.weigh)(&batch).clamp(1, self.crew.permits);
        let mut desk = self.crew.desk();
        let ticket = desk.next_ticket;
        desk.next_ticket += 1;
        desk.queue.push_back((ticket, weight, batch));
        desk.admit();
        self.batches.push_back((ticket, weight));
        self.crew.changed.notify_all();
    }

    /// Whether the batch read last is not admitted yet.
    fn is_queued(&self) -> bool {
        let newest = self.batches.back().map(|(ticket, _)| *ticket);
        newest.is_some_and(|newest| self.crew.desk().queue.iter().any(|(ticket, ..)| *ticket == newest))
    }

    fn oldest(&self) -> Option<Ticket> {
        self.batches.front().map(|(ticket, _)| *ticket)
    }

    /// Returns the permits of the oldest batch, which is committed.
    fn end_oldest(&mut self) {
        let Some((_, weight)) = self.batches.pop_front() else { return };
        let mut desk = self.crew.desk();
        desk.permits += weight;
        desk.admit();
        self.crew.changed.notify_all();
    }
}

impl<Batch: Send, Output: Send> Drop for InFlight<'_, '_, Batch, Output> {
    fn drop(&mut self) {
        let mut desk = self.crew.desk();
        // The batches of a failed lane are not needed any more.
        for (ticket, weight) in &self.batches {
            let queued = desk.queue.len();
            desk.queue.retain(|(other, ..)| other != ticket);
            if desk.queue.len() == queued {
                desk.permits += weight;
            }
            desk.waiting.retain(|(other, _)| other != ticket);
            desk.ready.remove(ticket);
        }
        desk.admit();
        self.crew.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs lanes and helpers on their own threads: the first lane reads the numbers below `count`, the others none.
    fn run<Output: Send>(
        threads: usize,
        lanes: usize,
        permits: usize,
        count: u64,
        work: impl Fn(u64) -> Result<Output, UnitError> + Sync,
        mut commit: impl FnMut(Output) -> Result<(), UnitError> + Send,
    ) -> (Result<(), UnitError>, usize) {
        let crew = Crew::new(lanes, permits, |_| 1, work);
        let result = std::thread::scope(|scope| {
            let lane = scope.spawn(|| {
                let mut numbers = 0..count;
                let result = crew.in_order(|| Ok(numbers.next()), &mut commit);
                crew.leave();
                crew.help();
                result
            });
            for thread in 1..threads {
                scope.spawn({
                    let crew = &crew;
                    move || {
                        if thread < lanes {
                            crew.leave();
                        }
                        crew.help();
                    }
                });
            }
            lane.join().unwrap()
        });
        let permits = crew.desk().permits;
        (result, permits)
    }

    #[test]
    fn results_come_back_in_order_whatever_the_workers_do() {
        for (threads, lanes, permits) in [(1, 1, 1), (2, 1, 3), (2, 2, 3), (5, 2, 9)] {
            let mut seen = Vec::new();
            let work = |number: u64| {
                // Later batches are quicker, so results are ready out of order.
                std::thread::sleep(std::time::Duration::from_micros((number * 7919) % 300));
                Ok(number)
            };
            let commit = |number| {
                seen.push(number);
                Ok(())
            };
            let (result, free) = run(threads, lanes, permits, 200, work, commit);
            assert!(result.is_ok());
            assert_eq!(free, permits, "all permits are given back");
            assert_eq!(seen, (0..200).collect::<Vec<_>>());
        }
    }

    #[test]
    fn batches_that_are_heavier_than_all_permits_go_alone_and_none_waits_for_ever() {
        for (threads, lanes, permits) in [(1, 1, 2), (1, 1, 5), (3, 1, 4), (2, 2, 3), (5, 2, 6), (4, 4, 5)] {
            // The last batch of a lane may be heavy, and so may the first of all.
            let weight = |number: u64| if number.is_multiple_of(3) { 9 } else { usize::try_from(number % 4).unwrap() };
            let (held, most) = (Mutex::new(0), Mutex::new(0));
            let crew = Crew::new(
                lanes,
                permits,
                |number| weight(*number),
                |number| {
                    let mut held = held.lock().unwrap();
                    *held += weight(number).clamp(1, permits);
                    let mut most = most.lock().unwrap();
                    *most = (*held).max(*most);
                    drop(held);
                    std::thread::sleep(std::time::Duration::from_micros((number * 7919) % 300));
                    Ok(number)
                },
            );
            let lane = |first: u64| {
                let (mut numbers, mut seen) = (first..first + 40, Vec::new());
                let result = crew.in_order(
                    || Ok(numbers.next()),
                    |number| {
                        *held.lock().unwrap() -= weight(number).clamp(1, permits);
                        seen.push(number);
                        Ok(())
                    },
                );
                crew.leave();
                crew.help();
                assert!(result.is_ok());
                assert_eq!(seen, (first..first + 40).collect::<Vec<_>>());
            };
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    let (lane, crew) = (&lane, &crew);
                    scope.spawn(move || if thread < lanes { lane(thread as u64) } else { crew.help() });
                }
            });
            assert_eq!(crew.desk().permits, permits, "all permits are given back");
            assert!(*most.lock().unwrap() <= permits, "no more are on their way than there are permits for");
        }
    }

    #[test]
    fn a_lane_that_fails_with_a_batch_in_the_queue_takes_it_along() {
        // The batch of weight 4 is worked on and fails in `commit` while the next one is in the queue.
        let crew = Crew::new(2, 4, |number: &u64| usize::try_from(*number).unwrap(), Ok);
        let mut numbers = [4, 3].into_iter();
        let failed = crew.in_order(|| Ok(numbers.next()), |_| Err(UnitError::Stopped));
        assert!(matches!(failed, Err(UnitError::Stopped)));
        crew.leave();
        let mut numbers = 1..9;
        assert!(crew.in_order(|| Ok(numbers.next()), |_| Ok(())).is_ok());
        let desk = crew.desk();
        assert_eq!((desk.permits, desk.queue.len(), desk.waiting.len(), desk.ready.len()), (4, 0, 0, 0));
    }

    #[test]
    fn a_unit_that_panics_is_known_by_its_number_and_its_lane_goes_on() {
        for (threads, lanes) in [(1, 1), (3, 2)] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let crew = Crew::new(lanes, 4, |_: &u64| 1, Ok);
            let sum = |unit: usize| {
                let (mut numbers, mut sum) = (0..unit as u64, 0);
                let sum_up = |number| {
                    assert!(number < 5, "on purpose");
                    sum += number;
                    Ok(())
                };
                crew.in_order(|| Ok(numbers.next()), sum_up).unwrap();
                (unit, Some(sum))
            };
            let sums = crew.do_units(&pool, 3..9, sum, |unit| (unit, None));
            assert_eq!(sums, [(3, Some(3)), (4, Some(6)), (5, Some(10)), (6, None), (7, None), (8, None)]);
            assert_eq!(crew.desk().permits, 4, "all permits are given back");
        }
    }

    #[test]
    fn an_error_gives_all_permits_back() {
        let stop = |number| if number == 9 { Err(UnitError::Stopped) } else { Ok(()) };
        for threads in [1, 3] {
            let (result, free) = run(threads, 1, 4, 50, Ok, stop);
            assert!(matches!(result, Err(UnitError::Stopped)));
            assert_eq!(free, 4);
        }
    }

    #[test]
    fn a_panic_is_an_error_of_the_lane_and_the_others_go_on() {
        let work = |number: u64| if number == 5 { panic!("on purpose") } else { Ok(number) };
        for threads in [1, 3] {
            let (result, free) = run(threads, 1, 4, 50, work, |_| Ok(()));
            assert!(matches!(result, Err(UnitError::WorkerPanicked)));
            assert_eq!(free, 4);
        }
    }
}
