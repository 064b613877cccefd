//! The Wi-Fi machine against a world of radios: which networks are in reach, which passwords are right, and a person who may
//! or may not be at the portal.

extern crate std;

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// What a network does when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Net {
    /// Not there.
    Away,
    /// There, with this strength.
    Good(i32),
    /// There, and the saved password is wrong.
    Refuses(i32),
    /// Works, and no scan shows it.
    Hidden,
    /// Never answers.
    Silent,
}

const NAMES: [&str; 4] = ["home", "shed", "phone", "guest"];

struct World {
    wifi: Wifi,
    now: u64,
    nets: [Net; 4],
    /// What the radio works on; answered by the next turn.
    work: Option<Action>,
    portal: bool,
    online: Option<u8>,
    busy_until: u64,
    log: Vec<(u64, Action)>,
    tried: BTreeMap<u8, u32>,
}

impl World {
    fn new(nets: [Net; 4], saved: &[&str], seed: u64) -> Self {
        let mut wifi = Wifi::new(Policy::default(), seed);
        wifi.set_networks(saved.iter().copied(), None);
        let mut world = World {
            wifi,
            now: 0,
            nets,
            work: None,
            portal: false,
            online: None,
            busy_until: 0,
            log: Vec::new(),
            tried: BTreeMap::new(),
        };
        world.step(Event::Tick);
        world
    }

    fn step(&mut self, event: Event<'_>) {
        if event == Event::PortalUsed && self.portal {
            self.busy_until = self.now + Policy::default().portal_busy_ms;
        }
        // Opening and closing the access point interrupts the station.
        let mut drops = false;
        self.wifi.step(self.now, event);
        while let Some(action) = self.wifi.poll() {
            self.log.push((self.now, action));
            match action {
                Action::Scan => {
                    assert!(
                        self.now >= self.busy_until,
                        "a scan while a person is at the portal"
                    );
                    self.work = Some(action);
                }
                Action::Connect { network } => {
                    assert!(self.online.is_none() && usize::from(network) < NAMES.len());
                    *self.tried.entry(network).or_default() += 1;
                    self.work = Some(action);
                }
                Action::Disconnect => self.work = None,
                Action::OpenPortal => {
                    assert!(!std::mem::replace(&mut self.portal, true));
                    drops = self.online.is_some();
                }
                Action::ClosePortal => {
                    drops = self.online.is_some();
                    assert!(std::mem::replace(&mut self.portal, false));
                    assert!(self.busy_until <= self.now || self.online.is_some());
                    self.busy_until = 0;
                }
                Action::Online { network } => {
                    assert_eq!(self.online.replace(network), None);
                }
                Action::Offline => assert!(self.online.take().is_some()),
            }
        }
        assert!(self.wifi.due() > self.now, "a machine that never rests");
        if drops {
            self.work = None;
            self.step(Event::Lost);
        }
    }

    /// The radio answers, or time passes until the machine wants to be stepped.
    fn turn(&mut self) {
        let net = |n: u8| self.nets.get(usize::from(n)).copied().unwrap_or(Net::Away);
        match self.work {
            Some(Action::Scan) => {
                self.now += 2_000;
                self.work = None;
                let found: Vec<Found<'_>> = NAMES
                    .iter()
                    .zip(self.nets)
                    .filter_map(|(ssid, net)| match net {
                        Net::Good(rssi) | Net::Refuses(rssi) => Some(Found { ssid, rssi }),
                        _ => None,
                    })
                    .collect();
                self.step(Event::Scanned(&found));
            }
            Some(Action::Connect { network }) if net(network) != Net::Silent => {
                let event = match net(network) {
                    Net::Good(_) | Net::Hidden => Event::Connected { network },
                    Net::Refuses(_) => Event::ConnectFailed {
                        network,
                        refused: true,
                    },
                    _ => Event::ConnectFailed {
                        network,
                        refused: false,
                    },
                };
                self.now += 1_500;
                self.work = None;
                self.step(event);
            }
            _ => self.pass(3_600_000),
        }
    }

    /// Time passes, until the machine wants to be stepped but at most so long.
    fn pass(&mut self, most: u64) {
        self.now = self.wifi.due().min(self.now + most);
        self.step(Event::Tick);
    }

    fn until(&mut self, what: &str, done: impl Fn(&World) -> bool) {
        for _ in 0..2_000 {
            if done(self) {
                return;
            }
            self.turn();
        }
        panic!("never: {what}; {:?}", self.wifi);
    }

    fn attempts(&self) -> Vec<u8> {
        let all = self.log.iter();
        all.filter_map(|(_, a)| match a {
            Action::Connect { network } => Some(*network),
            _ => None,
        })
        .collect()
    }
}

#[test]
fn the_strongest_network_is_tried_first_and_afterwards_the_one_that_worked() {
    let mut w = World::new(
        [Net::Good(-70), Net::Good(-40), Net::Away, Net::Refuses(-30)],
        &NAMES,
        1,
    );
    w.until("online", |w| w.online.is_some());
    assert_eq!(
        w.attempts(),
        [3, 1],
        "the strongest refuses, the next works"
    );
    // It goes away: the next one is found. It comes back: it is preferred although another one is stronger.
    w.nets[1] = Net::Away;
    w.now += 60_000;
    w.step(Event::Lost);
    w.until("online again", |w| w.online == Some(0));
    assert_eq!(
        w.attempts(),
        [3, 1, 1, 0],
        "first the one that was lost, then what is there"
    );
    w.nets = [Net::Good(-80), Net::Good(-40), Net::Away, Net::Good(-30)];
    w.step(Event::Lost);
    w.until("online again", |w| w.online.is_some());
    assert_eq!(w.online, Some(0));
}

#[test]
fn hidden_networks_are_tried_last_and_networks_that_never_answer_time_out() {
    let mut w = World::new(
        [Net::Silent, Net::Hidden, Net::Away, Net::Good(-50)],
        &NAMES[..3],
        1,
    );
    w.until("online", |w| w.online.is_some());
    assert_eq!(w.online, Some(1));
    assert_eq!(w.attempts(), [0, 1]);
    assert!(
        w.log.iter().any(|(_, a)| *a == Action::Disconnect),
        "the silent one is dropped"
    );
}

#[test]
fn a_board_without_networks_opens_its_portal_and_closes_it_when_nobody_comes() {
    let mut w = World::new([Net::Good(-50); 4], &[], 1);
    assert_eq!((w.portal, w.wifi.status()), (true, Status::Portal));
    w.turn();
    assert_eq!((w.portal, w.now), (false, 900_000));
    assert_eq!((w.wifi.status(), w.wifi.due()), (Status::Unset, u64::MAX));
    // The button opens it again; someone types for a while and saves.
    w.step(Event::WantPortal);
    for _ in 0..30 {
        w.now += 60_000;
        w.step(Event::PortalUsed);
        assert!(w.portal);
    }
    w.wifi.set_networks(NAMES, Some(2));
    w.step(Event::Tick);
    assert_eq!(
        w.attempts(),
        [2],
        "the network that was just typed in, at once"
    );
    w.until("online", |w| w.online == Some(2));
    assert!(w.portal, "the page can still say that it worked");
    w.until("closed", |w| !w.portal);
    w.until("online again", |w| w.online == Some(2));
}

#[test]
fn a_portal_that_was_asked_for_stays_for_the_person_although_the_saved_network_works() {
    let mut w = World::new([Net::Good(-50); 4], &NAMES[..1], 1);
    w.until("online", |w| w.online.is_some());
    w.now += 100_000;
    w.step(Event::WantPortal);
    assert!(w.portal);
    w.until("online beside the portal", |w| w.online.is_some());
    // A page every other minute: reading the token from a screen takes a while.
    for _ in 0..10 {
        w.now += 120_000;
        w.step(Event::PortalUsed);
        assert!(w.portal && w.online.is_some());
    }
    let left_at = w.now;
    w.until("closed", |w| !w.portal);
    assert_eq!(w.now, left_at + 900_000);
    w.until("online again", |w| w.online.is_some());
}

#[test]
fn late_answers_to_attempts_that_were_given_up_are_not_taken_for_others() {
    let mut w = World::new([Net::Silent; 4], &NAMES[..2], 1);
    w.until("a second attempt", |w| w.attempts().len() == 2);
    let [first, second] = w.attempts()[..] else {
        panic!()
    };
    w.step(Event::Connected { network: first });
    w.step(Event::ConnectFailed {
        network: first,
        refused: true,
    });
    assert_eq!(
        (w.online, w.work),
        (None, Some(Action::Connect { network: second }))
    );
    // What was believed and is not so ends as a loss.
    w.step(Event::Connected { network: second });
    assert_eq!(w.online, Some(second));
    w.work = None;
    w.step(Event::ConnectFailed {
        network: second,
        refused: false,
    });
    assert_eq!(w.online, None);
    assert!(w.wifi.due() < w.now + 120_000);
}

#[test]
fn a_wrong_password_from_the_portal_leaves_the_portal_open() {
    let mut w = World::new([Net::Refuses(-50); 4], &[], 1);
    w.step(Event::PortalUsed);
    w.wifi.set_networks(["home"], Some(0));
    w.step(Event::Tick);
    w.turn();
    assert!(w.portal && w.online.is_none());
    // And it is corrected.
    w.now += 30_000;
    w.step(Event::PortalUsed);
    w.nets[0] = Net::Good(-50);
    w.wifi.set_networks(["home"], Some(0));
    w.step(Event::Tick);
    w.until("online", |w| w.online.is_some() && !w.portal);
}

#[test]
fn a_router_that_restarts_for_an_hour_bricks_nothing() {
    let mut w = World::new(
        [Net::Good(-50), Net::Away, Net::Away, Net::Away],
        &NAMES[..1],
        3,
    );
    w.until("online", |w| w.online.is_some());
    w.nets[0] = Net::Away;
    w.now += 1_000_000;
    let lost_at = w.now;
    w.step(Event::Lost);
    w.until("the portal opens", |w| w.portal);
    assert!(w.now <= lost_at + 180_000 + 20_000);
    w.until("an hour has passed", |w| w.now > lost_at + 3_600_000);
    let rounds = w.attempts().len();
    assert!((20..120).contains(&rounds), "{rounds} attempts in an hour");
    let closed = w
        .log
        .iter()
        .filter(|(_, a)| *a == Action::ClosePortal)
        .count();
    assert!(closed >= 2, "the portal is not open all the time");
    w.nets[0] = Net::Good(-50);
    let back_at = w.now;
    w.until("online", |w| w.online.is_some());
    assert!(w.now <= back_at + 200_000);
    w.until("the portal closes", |w| !w.portal);
}

#[test]
fn a_network_that_drops_everyone_is_not_hammered() {
    let mut w = World::new(
        [Net::Good(-50), Net::Away, Net::Away, Net::Away],
        &NAMES[..1],
        3,
    );
    for _ in 0..60 {
        w.until("online", |w| w.online.is_some());
        w.now += 500;
        w.step(Event::Lost);
    }
    assert!(w.now > 60 * 15_000, "{}", w.now);
}

#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    let mut w = World::new([Net::Silent; 4], &NAMES, 1);
    w.until("an attempt", |w| !w.attempts().is_empty());
    let before = w.log.len();
    w.step(Event::Lost);
    w.step(Event::ScanFailed);
    w.step(Event::Scanned(&[]));
    assert_eq!(w.log.len(), before);
    // Time that goes backwards is not believed.
    w.wifi.step(0, Event::Tick);
    assert_eq!(w.wifi.poll(), None);
}

fn net() -> impl Strategy<Value = Net> {
    prop_oneof![
        Just(Net::Away),
        (-90..-20).prop_map(Net::Good),
        (-90..-20).prop_map(Net::Refuses),
        Just(Net::Hidden),
        Just(Net::Silent),
    ]
}

#[derive(Debug, Clone)]
enum Fate {
    Turn,
    Pass(u64),
    Lost,
    Used,
    Want,
    Change([Net; 4]),
    Save(usize, Option<u8>),
    Stray(u8),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Turn),
        3 => (1..400_000_u64).prop_map(Fate::Pass),
        2 => Just(Fate::Lost),
        2 => Just(Fate::Used),
        1 => Just(Fate::Want),
        1 => [net(), net(), net(), net()].prop_map(Fate::Change),
        1 => (0..=4_usize, proptest::option::of(0..6_u8)).prop_map(|(n, first)| Fate::Save(n, first)),
        1 => (0..4_u8).prop_map(Fate::Stray),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The asserts of the world hold for any story, and afterwards a board with a network that works comes online, one
    /// without one opens its portal.
    #[test]
    fn any_story_ends_online_or_at_the_portal(
        seed: u64,
        nets in [net(), net(), net(), net()],
        story in proptest::collection::vec(fate(), 0..120),
        works: bool,
    ) {
        let mut w = World::new(nets, &NAMES, seed);
        for fate in story {
            match fate {
                Fate::Turn => w.turn(),
                Fate::Pass(ms) => w.pass(ms),
                Fate::Lost if w.online.is_some() => {
                    w.work = None;
                    w.step(Event::Lost);
                }
                Fate::Lost => {}
                Fate::Used => w.step(Event::PortalUsed),
                Fate::Want => w.step(Event::WantPortal),
                Fate::Change(nets) => w.nets = nets,
                Fate::Save(count, first) => {
                    w.wifi.set_networks(NAMES[..count].iter().copied(), first);
                    w.step(Event::Tick);
                }
                Fate::Stray(n) => {
                    let event = [Event::Tick, Event::ScanFailed, Event::Lost, Event::Scanned(&[])][usize::from(n)];
                    if event != Event::Lost {
                        // An answer that was asked for meanwhile is as good as any.
                        if matches!(w.work, Some(Action::Scan)) && event != Event::Tick {
                            w.work = None;
                        }
                        w.step(event);
                    }
                }
            }
        }
        if w.online.is_some() {
            w.work = None;
            w.step(Event::Lost);
        }
        w.nets = [Net::Away, Net::Refuses(-30), Net::Silent, if works { Net::Good(-80) } else { Net::Away }];
        w.wifi.set_networks(NAMES, None);
        let from = w.now;
        w.step(Event::Tick);
        if works {
            w.until("online", |w| w.online == Some(3));
            // Someone at the portal may hold the attempts up, for as long as he counts as being there.
            prop_assert!(w.now <= from + 90_000 + 60_000 + 120_000);
            w.until("the portal closes", |w| !w.portal);
        } else {
            w.until("the portal is open", |w| w.portal);
            prop_assert!(w.now <= from + 180_000 + 20_000);
        }
    }
}
