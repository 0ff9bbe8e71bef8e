//! Batches out to the workers, results back in order, with a bounded number in flight.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Condvar, Mutex, PoisonError};

use rayon::ThreadPool;

use super::UnitError;

/// How many batches may be in memory at once, over all lanes.
#[derive(Debug)]
pub struct Permits {
    free: Mutex<usize>,
    returned: Condvar,
}

impl Permits {
    /// That many permits, at least one.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { free: Mutex::new(count.max(1)), returned: Condvar::new() }
    }

    /// Takes one if one is free.
    fn try_take(&self) -> bool {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = *free > 0;
        *free -= usize::from(taken);
        taken
    }

    /// Waits for one. Only for a lane that holds none: what it waits for comes from the others.
    fn take(&self) {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.returned.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
    }

    fn give_back(&self) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.returned.notify_one();
    }
}

/// Reads batch after batch with `next`, works on them in `pool`, and hands the results to `commit` in the order of reading.
///
/// `next` and `commit` run on the calling thread. A batch is read only while a permit is free, so memory is bounded by the
/// permits, however slow `commit` is or however large the sources are.
///
/// # Errors
///
/// The first error of the three; [`UnitError::WorkerPanicked`] if a worker panics.
pub fn in_order<Batch: Send, Output: Send>(
    pool: &ThreadPool,
    permits: &Permits,
    mut next: impl FnMut() -> Result<Option<Batch>, UnitError>,
    work: impl Fn(Batch) -> Result<Output, UnitError> + Sync,
    mut commit: impl FnMut(Output) -> Result<(), UnitError>,
) -> Result<(), UnitError> {
    let mut in_flight = InFlight { results: VecDeque::new(), permits };
    pool.in_place_scope(|scope| {
        let work = &work;
        let mut at_end = false;
        loop {
            while !at_end && in_flight.take_permit() {
                match next() {
                    Ok(Some(batch)) => {
                        let (sender, receiver) = sync_channel(1);
                        scope.spawn(move |_| {
                            // The receiver is gone if the lane has failed meanwhile: nobody wants the result.
                            let _ = sender.send(work(batch));
                        });
                        in_flight.results.push_back(receiver);
                    }
                    Ok(None) => {
                        at_end = true;
                        permits.give_back();
                    }
                    Err(error) => {
                        permits.give_back();
                        return Err(error);
                    }
                }
            }
            let Some(oldest) = in_flight.results.pop_front() else { return Ok(()) };
            let output = oldest.recv();
            let committed = output.map_err(|_| UnitError::WorkerPanicked).and_then(|output| commit(output?));
            permits.give_back();
            committed?;
        }
    })
}

/// The batches of one lane; each holds a permit.
struct InFlight<'a, Output> {
    results: VecDeque<Receiver<Result<Output, UnitError>>>,
    permits: &'a Permits,
}

impl<Output> InFlight<'_, Output> {
    fn take_permit(&self) -> bool {
        if self.results.is_empty() {
            self.permits.take();
            return true;
        }
        self.permits.try_take()
    }
}

impl<Output> Drop for InFlight<'_, Output> {
    fn drop(&mut self) {
        for _ in &self.results {
            self.permits.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(workers: usize) -> ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(workers).build().unwrap()
    }

    #[test]
    fn results_come_back_in_order_whatever_the_workers_do() {
        for (workers, permits) in [(1, 1), (2, 3), (5, 9)] {
            let (pool, permits) = (pool(workers), Permits::new(permits));
            let mut numbers = 0..200_u64;
            let mut seen = Vec::new();
            let work = |number: u64| {
                // The later, the quicker: results are ready out of order.
                std::thread::sleep(std::time::Duration::from_micros((number * 7919) % 300));
                Ok(number)
            };
            in_order(
                &pool,
                &permits,
                || Ok(numbers.next()),
                work,
                |number| {
                    seen.push(number);
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!(seen, (0..200).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_gives_all_permits_back() {
        let (pool, permits) = (pool(2), Permits::new(4));
        let mut numbers = 0..50_u64;
        let failed = in_order(
            &pool,
            &permits,
            || Ok(numbers.next()),
            Ok,
            |number| {
                if number == 9 { Err(UnitError::Stopped) } else { Ok(()) }
            },
        );
        assert!(matches!(failed, Err(UnitError::Stopped)));
        assert_eq!(*permits.free.lock().unwrap(), 4);
    }
}
