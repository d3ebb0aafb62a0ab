//! The thread of one attempt elsewhere: takes the engine's orders, and moves the attempt on. It may wait for a slow system; neither the
//! engine nor other attempts wait for it.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;

use super::host::Host;
use super::messages::Order;
use super::tracked::Tracked;

/// Starts the thread. It ends with the attempt, or when the sender is gone.
pub(super) fn start(tracked: Tracked, host: Box<dyn Host>) -> io::Result<Sender<Order>> {
    let (sender, orders) = channel();
    thread::Builder::new().name("elsewhere".to_owned()).spawn(move || drive(tracked, host, &orders))?;
    Ok(sender)
}

fn drive(mut tracked: Tracked, mut host: Box<dyn Host>, orders: &Receiver<Order>) {
    while !tracked.is_done() {
        tracked.advance(host.as_mut());
        match orders.recv_timeout(host.pace()) {
            Ok(order) => std::iter::once(order).chain(orders.try_iter()).for_each(|order| tracked.order(order)),
            Err(RecvTimeoutError::Timeout) => {}
            // The engine has ended. What runs elsewhere continues, and the next engine adopts it.
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
