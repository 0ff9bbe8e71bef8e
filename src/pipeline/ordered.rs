//! Batches out to whoever has time, results back in order, with a bounded number in memory.
//!
//! Every thread works on batches. Some of them, the *lanes*, also read and commit; while a lane can do neither, it works like all others. So
//! `--workers` is the number of threads that are busy, with one source and with many.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::UnitError;

/// Names a batch on its way.
type Ticket = u64;

/// The threads of a run, by what they have in common: batches that wait, results that are ready, permits that are free.
pub struct Crew<'a, Batch, Output> {
    desk: Mutex<Desk<Batch, Output>>,
    changed: Condvar,
    work: Box<dyn Fn(Batch) -> Result<Output, UnitError> + Sync + 'a>,
}

/// What changes hands. It is held for a moment, a few times a batch.
struct Desk<Batch, Output> {
    waiting: VecDeque<(Ticket, Batch)>,
    ready: BTreeMap<Ticket, Result<Output, UnitError>>,
    next_ticket: Ticket,
    /// How many more batches may be in memory.
    permits: usize,
    /// Lanes that may still bring batches.
    lanes: usize,
}

impl<'a, Batch: Send, Output: Send> Crew<'a, Batch, Output> {
    /// A crew that does `work` on each batch, with that many batches in memory at once, over all lanes: at least one.
    pub fn new(lanes: usize, permits: usize, work: impl Fn(Batch) -> Result<Output, UnitError> + Sync + 'a) -> Self {
        let desk =
            Desk { waiting: VecDeque::new(), ready: BTreeMap::new(), next_ticket: 0, permits: permits.max(1), lanes };
        Self { desk: Mutex::new(desk), changed: Condvar::new(), work: Box::new(work) }
    }

    /// For a lane: reads batch after batch with `next`, has them worked on, and hands the results to `commit` in the order of reading.
    ///
    /// `next` and `commit` run on the calling thread. A batch is read only while a permit is free, so memory is bounded by the
    /// permits, however slow `commit` is or however large the sources are.
    ///
    /// # Errors
    ///
    /// The first error of the three; [`UnitError::WorkerPanicked`] if the work panics.
    pub fn in_order(
        &self,
        mut next: impl FnMut() -> Result<Option<Batch>, UnitError>,
        mut commit: impl FnMut(Output) -> Result<(), UnitError>,
    ) -> Result<(), UnitError> {
        let mut in_flight = InFlight { crew: self, tickets: VecDeque::new(), permits: 0 };
        let mut at_end = false;
        loop {
            while !at_end && in_flight.take_permit() {
                match next()? {
                    Some(batch) => in_flight.tickets.push_back(self.bring(batch)),
                    None => at_end = true,
                }
            }
            let Some(oldest) = in_flight.tickets.front().copied() else { return Ok(()) };
            let output = self.until(|desk| desk.ready.remove(&oldest))?;
            in_flight.tickets.pop_front();
            commit(output)?;
            in_flight.give_permit_back();
        }
    }

    /// For any thread: works on what the lanes bring, until they bring nothing more.
    pub fn help(&self) {
        self.until(|desk| (desk.lanes == 0 && desk.waiting.is_empty()).then_some(()));
    }

    /// For a lane that has nothing more to read.
    pub fn leave(&self) {
        self.desk().lanes -= 1;
        self.changed.notify_all();
    }

    /// Works on batches until `found` finds something, and sleeps while there is neither.
    fn until<T>(&self, mut found: impl FnMut(&mut Desk<Batch, Output>) -> Option<T>) -> T {
        let mut desk = self.desk();
        loop {
            if let Some(found) = found(&mut desk) {
                return found;
            }
            desk = match desk.waiting.pop_front() {
                Some((ticket, batch)) => {
                    drop(desk);
                    // A panic of a library is an error of the batch's unit; the other threads go on.
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

    fn bring(&self, batch: Batch) -> Ticket {
        let mut desk = self.desk();
        let ticket = desk.next_ticket;
        desk.next_ticket += 1;
        desk.waiting.push_back((ticket, batch));
        self.changed.notify_all();
        ticket
    }

    fn desk(&self) -> MutexGuard<'_, Desk<Batch, Output>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The batches of one lane, oldest first, and the permits that it holds for them and for the next one.
struct InFlight<'c, 'a, Batch: Send, Output: Send> {
    crew: &'c Crew<'a, Batch, Output>,
    tickets: VecDeque<Ticket>,
    permits: usize,
}

impl<Batch: Send, Output: Send> InFlight<'_, '_, Batch, Output> {
    /// Whether there is a permit for one more batch. A lane that has none in flight works until there is: it comes from the others.
    fn take_permit(&mut self) -> bool {
        if self.permits > self.tickets.len() {
            return true;
        }
        let take = |desk: &mut Desk<Batch, Output>| {
            let free = desk.permits > 0;
            desk.permits -= usize::from(free);
            free.then_some(())
        };
        let taken = if self.tickets.is_empty() {
            self.crew.until(take);
            true
        } else {
            take(&mut self.crew.desk()).is_some()
        };
        self.permits += usize::from(taken);
        taken
    }

    fn give_permit_back(&mut self) {
        self.permits -= 1;
        self.crew.desk().permits += 1;
        self.crew.changed.notify_all();
    }
}

impl<Batch: Send, Output: Send> Drop for InFlight<'_, '_, Batch, Output> {
    fn drop(&mut self) {
        let mut desk = self.crew.desk();
        // Nobody wants what a failed lane has brought.
        desk.waiting.retain(|(ticket, _)| !self.tickets.contains(ticket));
        desk.ready.retain(|ticket, _| !self.tickets.contains(ticket));
        desk.permits += self.permits;
        self.crew.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs lanes and helpers on threads of their own: the first lane brings the numbers below `count`, the others none.
    fn run<Output: Send>(
        threads: usize,
        lanes: usize,
        permits: usize,
        count: u64,
        work: impl Fn(u64) -> Result<Output, UnitError> + Sync,
        mut commit: impl FnMut(Output) -> Result<(), UnitError> + Send,
    ) -> (Result<(), UnitError>, usize) {
        let crew = Crew::new(lanes, permits, work);
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
                // The later, the quicker: results are ready out of order.
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
