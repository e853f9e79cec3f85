//! The guard of a token-paged list. Invariant: it ends, at the last page or in an error with a name.

use std::collections::HashSet;

use thiserror::Error;

use crate::model::FailureReason;

/// What to do after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PagingStep {
    /// Ask for the page of this token.
    Next(String),
    /// That was the last page, and the rows account for the declared total.
    Complete,
}

/// Pages that contradict each other, or too many of them.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PagingError {
    /// A token leads back to a page that was read.
    #[error("page {page} repeats a nextToken: the list would never end")]
    RepeatedToken {
        /// Counted from 1.
        page: u32,
    },
    /// A page without rows announces another one.
    #[error("page {page} has no rows and yet a nextToken")]
    EmptyPageWithToken {
        /// Counted from 1.
        page: u32,
    },
    /// The rows do not add up to `totalCount`.
    #[error("totalCount is {declared}, the pages have {seen} rows")]
    WrongTotal {
        /// By the page last read.
        declared: u64,
        /// On all pages so far.
        seen: u64,
    },
    /// The list goes on after the most pages that a sweep may read.
    #[error("the list has more than {pages_max} pages")]
    PageCap {
        /// The limit.
        pages_max: u32,
    },
}

impl PagingError {
    /// The reason to count.
    pub const fn reason(self) -> FailureReason {
        match self {
            Self::RepeatedToken { .. } | Self::EmptyPageWithToken { .. } | Self::WrongTotal { .. } => {
                FailureReason::Inconsistent
            }
            Self::PageCap { .. } => FailureReason::Overrun,
        }
    }
}

/// Follows one token-paged list from its first page to its last.
#[derive(Debug)]
pub struct TokenPaging {
    pages_max: u32,
    pages: u32,
    rows: u64,
    tokens: HashSet<String>,
}

impl TokenPaging {
    /// Before the first page of a list of at most `pages_max` pages; at least 1.
    pub fn new(pages_max: u32) -> Self {
        Self { pages_max: pages_max.max(1), pages: 0, rows: 0, tokens: HashSet::new() }
    }

    /// Takes the page just read: its token, the number of its rows with the malformed ones, and its declared total.
    ///
    /// A list that changes while it is read changes its total from page to page: the last page's total is the one
    /// that must match. Only a total that the rows have overtaken already cannot come right any more.
    ///
    /// # Errors
    /// A [`PagingError`]; the list must then be read anew.
    pub fn page(
        &mut self,
        next_token: Option<&str>,
        row_count: usize,
        total_count: Option<u64>,
    ) -> Result<PagingStep, PagingError> {
        self.pages = self.pages.saturating_add(1);
        self.rows = self.rows.saturating_add(u64::try_from(row_count).unwrap_or(u64::MAX));
        let (page, seen) = (self.pages, self.rows);
        let last = next_token.is_none();
        if let Some(declared) = total_count
            && (seen > declared || (last && seen < declared))
        {
            return Err(PagingError::WrongTotal { declared, seen });
        }
        let Some(token) = next_token else { return Ok(PagingStep::Complete) };
        if row_count == 0 {
            return Err(PagingError::EmptyPageWithToken { page });
        }
        if !self.tokens.insert(token.to_owned()) {
            return Err(PagingError::RepeatedToken { page });
        }
        if page >= self.pages_max {
            return Err(PagingError::PageCap { pages_max: self.pages_max });
        }
        Ok(PagingStep::Next(token.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type PageAnswer<'a> = (Option<&'a str>, usize, Option<u64>);

    /// The outcome of the first page that does not lead to another.
    fn follow(pages: &[PageAnswer<'_>]) -> Result<PagingStep, PagingError> {
        let mut paging = TokenPaging::new(4);
        for &(token, rows, total) in pages {
            match paging.page(token, rows, total)? {
                PagingStep::Next(next) => assert_eq!(Some(next.as_str()), token),
                PagingStep::Complete => return Ok(PagingStep::Complete),
            }
        }
        panic!("the list goes on after {pages:?}");
    }

    #[test]
    fn good_lists_complete() {
        let good: [&[PageAnswer<'_>]; 6] = [
            &[(None, 0, None)],
            &[(None, 0, Some(0))],
            &[(None, 3, Some(3))],
            &[(Some("a"), 2, Some(5)), (Some("b"), 2, Some(5)), (None, 1, Some(5))],
            &[(Some("a"), 2, None), (None, 0, None)],
            // A row came, then two went, while the pages were read.
            &[(Some("a"), 2, Some(4)), (Some("b"), 2, Some(5)), (None, 0, Some(4))],
        ];
        for pages in good {
            assert_eq!(follow(pages), Ok(PagingStep::Complete), "{pages:?}");
        }
    }

    #[test]
    fn hostile_lists_end_in_an_error_with_a_name() {
        use PagingError as E;
        let hostile: [(&[PageAnswer<'_>], PagingError); 8] = [
            (&[(Some("a"), 1, None), (Some("a"), 1, None)], E::RepeatedToken { page: 2 }),
            (
                &[(Some("a"), 1, None), (Some("b"), 1, None), (Some("a"), 1, None)],
                E::RepeatedToken { page: 3 },
            ),
            (&[(Some("a"), 0, Some(5))], E::EmptyPageWithToken { page: 1 }),
            (&[(None, 2, Some(3))], E::WrongTotal { declared: 3, seen: 2 }),
            (&[(None, 0, Some(1))], E::WrongTotal { declared: 1, seen: 0 }),
            (&[(Some("a"), 2, Some(4)), (None, 2, Some(3))], E::WrongTotal { declared: 3, seen: 4 }),
            (&[(Some("a"), 2, Some(1))], E::WrongTotal { declared: 1, seen: 2 }),
            (
                &[(Some("a"), 1, None), (Some("b"), 1, None), (Some("c"), 1, None), (Some("d"), 1, None)],
                E::PageCap { pages_max: 4 },
            ),
        ];
        for (pages, error) in hostile {
            assert_eq!(follow(pages), Err(error), "{pages:?}");
        }
    }

    #[test]
    fn the_cap_counts_the_last_page_in() {
        let pages = [(Some("a"), 1, None), (Some("b"), 1, None), (Some("c"), 1, None), (None, 1, None)];
        assert_eq!(follow(&pages), Ok(PagingStep::Complete));
    }

    #[test]
    fn errors_have_reasons() {
        assert_eq!(PagingError::PageCap { pages_max: 1 }.reason(), FailureReason::Overrun);
        assert_eq!(PagingError::RepeatedToken { page: 1 }.reason(), FailureReason::Inconsistent);
    }
}
