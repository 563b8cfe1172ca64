//! In which order the elements of a key were appended, as the reads tell.
//!
//! Only the longest list so far is kept. A shorter one that begins it says nothing new, and its length is all of it.

use crate::intern::FastMap;
use crate::ops::NONE;
use crate::scalar::Scalar;

#[derive(Debug, Clone, Copy)]
struct Element {
    scalar: Scalar,
    /// The transaction that appended it, and its step; or [`NONE`].
    writer: u32,
    step: u32,
    /// A failed transaction that would have appended it, or [`NONE`].
    failed: u32,
    /// Its place in the order, or [`NONE`].
    place: u32,
}

/// What is known of a key.
#[derive(Debug, Default)]
pub(super) struct KeyOrder {
    numbers: FastMap<Scalar, u32>,
    elements: Vec<Element>,
    /// The longest list that somebody read.
    order: Vec<u32>,
    /// Who read it first.
    longest_reader: Option<u32>,
    ambiguous: bool,
}

/// A list while it is read.
pub(super) struct Reading<'a> {
    key: &'a mut KeyOrder,
    length: u32,
    /// The whole list, from the moment on that it left the order.
    apart: Option<Vec<u32>>,
    repeated: Option<u32>,
}

impl KeyOrder {
    fn number(&mut self, scalar: Scalar) -> u32 {
        let next = self.elements.len() as u32;
        let number = *self.numbers.entry(scalar).or_insert(next);
        if number == next {
            self.elements.push(Element {
                scalar,
                writer: NONE,
                step: NONE,
                failed: NONE,
                place: NONE,
            });
        }
        number
    }

    /// Takes an append. Returns the element's number.
    pub(super) fn append(&mut self, scalar: Scalar, txn: u32, step: u32, failed: bool) -> u32 {
        let number = self.number(scalar);
        let element = &mut self.elements[number as usize];
        if failed {
            element.failed = txn;
        } else if element.writer != NONE {
            self.ambiguous = true;
        } else {
            element.writer = txn;
            element.step = step;
        }
        number
    }

    pub(super) fn reading(&mut self) -> Reading<'_> {
        Reading {
            key: self,
            length: 0,
            apart: None,
            repeated: None,
        }
    }

    /// Whether an element was appended more than once, so that nobody can tell which of them a list shows.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }

    /// The element at a place of the order.
    pub(super) fn at(&self, place: u32) -> u32 {
        self.order[place as usize]
    }

    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    pub(super) fn place(&self, element: u32) -> u32 {
        self.elements[element as usize].place
    }

    pub(super) fn writer(&self, element: u32) -> u32 {
        self.elements[element as usize].writer
    }

    pub(super) fn step(&self, element: u32) -> u32 {
        self.elements[element as usize].step
    }

    pub(super) fn failed(&self, element: u32) -> u32 {
        self.elements[element as usize].failed
    }

    pub(super) fn scalar(&self, element: u32) -> Scalar {
        self.elements[element as usize].scalar
    }

    pub(super) fn longest_reader(&self) -> Option<u32> {
        self.longest_reader
    }

    /// The elements that somebody saw.
    pub(super) fn seen(&self) -> impl Iterator<Item = u32> + '_ {
        self.order.iter().copied()
    }

    /// The elements that nobody saw.
    pub(super) fn unseen(&self) -> impl Iterator<Item = u32> + '_ {
        let numbers = 0..self.elements.len() as u32;
        numbers.filter(|number| self.elements[*number as usize].place == NONE)
    }
}

impl Reading<'_> {
    /// Takes the list's next element.
    pub(super) fn next(&mut self, scalar: Scalar) {
        let place = self.length as usize;
        self.length += 1;
        if let Some(apart) = &mut self.apart {
            let number = self.key.number(scalar);
            if apart.contains(&number) {
                self.repeated = Some(number);
            }
            apart.push(number);
            return;
        }
        match self.key.order.get(place) {
            Some(&known) if self.key.elements[known as usize].scalar == scalar => {}
            Some(_) => self.leave(place, scalar),
            None => {
                let number = self.key.number(scalar);
                let element = &mut self.key.elements[number as usize];
                if element.place == NONE {
                    element.place = place as u32;
                    self.key.order.push(number);
                    self.key.longest_reader = None;
                } else {
                    self.repeated = Some(number);
                    self.leave(place, scalar);
                }
            }
        }
    }

    fn leave(&mut self, place: usize, scalar: Scalar) {
        let mut apart = self.key.order[..place].to_vec();
        apart.push(self.key.number(scalar));
        self.apart = Some(apart);
    }

    /// The list's length; the list itself if it does not go with the order; and an element that it shows twice.
    pub(super) fn finish(self, txn: u32) -> (u32, Option<Vec<u32>>, Option<u32>) {
        if self.apart.is_none() && self.key.longest_reader.is_none() {
            self.key.longest_reader = Some(txn);
        }
        (self.length, self.apart, self.repeated)
    }
}
