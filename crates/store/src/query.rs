//! Lists: what can be asked, in which order, and how a page goes on.

use std::ops::Range;
use std::sync::Arc;

use crate::{CatalogError, Position, SagaRow};

/// The most rows of a page, whatever the query says.
pub const PAGE_ROWS_MAX: usize = 1000;

/// The most rows one page may look at. What no index answers is looked for row by row; a page
/// that has looked at so many comes back short, with a cursor, so that no query holds a read
/// transaction open.
pub const SCAN_ROWS_MAX: usize = 20_000;

/// In which order, by (created, id).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// The youngest saga first.
    #[default]
    NewestFirst,
    /// The oldest saga first.
    OldestFirst,
}

/// Which sagas by what a person is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttentionFilter {
    /// Those that need nobody.
    None,
    /// Those that have at least one of these reasons; `u32::MAX` is any.
    AnyOf(u32),
}

/// Which sagas by whether they are stuck at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StuckFilter {
    /// Those that are stuck by then.
    By(u64),
    /// Those that are not.
    NotBy(u64),
}

impl StuckFilter {
    /// Does the row fit?
    pub fn holds(self, row: &SagaRow) -> bool {
        let stuck = |by| row.stuck_at.is_some_and(|at| at <= by);
        match self {
            Self::By(by) => stuck(by),
            Self::NotBy(by) => !stuck(by),
        }
    }
}

/// After which saga a list goes on. Opaque to users, who get it back as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListCursor {
    /// When the last one looked at was created.
    pub created_at: u64,
    /// The last one looked at.
    pub saga: u128,
}

impl ListCursor {
    /// After this row.
    pub const fn after(row: &SagaRow) -> Self {
        Self { created_at: row.created_at, saga: row.saga }
    }

    /// As text, for a URL.
    pub fn to_text(self) -> String {
        format!("{:x}-{:032x}", self.created_at, self.saga)
    }

    /// Back from text.
    pub fn from_text(text: &str) -> Option<Self> {
        let (created_at, saga) = text.split_once('-')?;
        Some(Self {
            created_at: u64::from_str_radix(created_at, 16).ok()?,
            saga: u128::from_str_radix(saga, 16).ok()?,
        })
    }
}

/// What to list. What is not said does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Of this type.
    pub saga_type: Option<Arc<str>>,
    /// In this state.
    pub state: Option<u8>,
    /// Still owing something, or not.
    pub live: Option<bool>,
    /// Paused, or not.
    pub paused: Option<bool>,
    /// Needing a person, or not.
    pub attention: Option<AttentionFilter>,
    /// Stuck, or not.
    pub stuck: Option<StuckFilter>,
    /// With exactly this business key.
    pub business_key: Option<Arc<str>>,
    /// Created in this range of milliseconds.
    pub created: Option<Range<u64>>,
    /// Last moved in this range of milliseconds.
    pub updated: Option<Range<u64>>,
    /// What a person typed: the beginning of a saga's id, hyphens or not, or its business key.
    pub text: Option<String>,
    /// The order.
    pub order: Order,
    /// How many rows at most; [`PAGE_ROWS_MAX`] when more is said.
    pub limit: usize,
    /// Where to go on.
    pub after: Option<ListCursor>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            saga_type: None,
            state: None,
            live: None,
            paused: None,
            attention: None,
            stuck: None,
            business_key: None,
            created: None,
            updated: None,
            text: None,
            order: Order::NewestFirst,
            limit: 100,
            after: None,
        }
    }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The rows.
    pub rows: Vec<SagaRow>,
    /// Where the next page goes on, when there may be more. A page may be short and yet have a
    /// next one: it had looked at [`SCAN_ROWS_MAX`] rows.
    pub next: Option<ListCursor>,
    /// Everything up to here was taken into account.
    pub as_of: Position,
}

impl Query {
    /// How many rows a page of it has, or why there is none.
    pub fn page_rows(&self) -> Result<usize, CatalogError> {
        let malformed = |what: &str| Err(CatalogError::Malformed { what: what.to_owned() });
        if self.limit == 0 {
            return malformed("a list with a limit of 0 rows; ask for 1 to 1000");
        }
        for (range, name) in [(&self.created, "created"), (&self.updated, "updated")] {
            if range.as_ref().is_some_and(|range| range.start > range.end) {
                return malformed(&format!("a list whose `{name}` range ends before it begins"));
            }
        }
        Ok(self.limit.min(PAGE_ROWS_MAX))
    }

    /// Does the row fit all that is said? Order, limit and cursor apart.
    pub fn matches(&self, row: &SagaRow) -> bool {
        let said = |range: &Option<Range<u64>>, at| range.as_ref().is_none_or(|r| r.contains(&at));
        self.saga_type.as_ref().is_none_or(|saga_type| *saga_type == row.saga_type)
            && self.state.is_none_or(|state| state == row.state)
            && self.live.is_none_or(|live| live == row.live)
            && self.paused.is_none_or(|paused| paused == row.paused)
            && match self.attention {
                None => true,
                Some(AttentionFilter::None) => row.attention == 0,
                Some(AttentionFilter::AnyOf(reasons)) => row.attention & reasons != 0,
            }
            && self.stuck.is_none_or(|stuck| stuck.holds(row))
            && self.business_key.as_ref().is_none_or(|key| Some(key) == row.business_key.as_ref())
            && said(&self.created, row.created_at)
            && said(&self.updated, row.updated_at)
            && self.text.as_ref().is_none_or(|text| {
                row.business_key.as_deref() == Some(text)
                    || id_prefix(text).is_some_and(|(low, high)| (low..=high).contains(&row.saga))
            })
    }
}

/// The ids that begin with what was typed; `None` when it cannot be the beginning of an id.
pub(crate) fn id_prefix(text: &str) -> Option<(u128, u128)> {
    const DIGITS: usize = 32;
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.is_empty() || digits.len() > DIGITS || !digits.chars().all(|c| c.is_ascii_hexdigit())
    {
        return None;
    }
    let low = format!("{digits:0<DIGITS$}");
    let high = format!("{digits:f<DIGITS$}");
    Some((u128::from_str_radix(&low, 16).ok()?, u128::from_str_radix(&high, 16).ok()?))
}

impl Query {
    /// The ids that what was typed may be the beginning of, from the lowest to the highest.
    pub fn text_ids(&self) -> Option<(u128, u128)> {
        id_prefix(self.text.as_deref()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_by_its_beginning_with_and_without_hyphens() {
        let (low, high) = id_prefix("0190-a").unwrap();
        assert_eq!(low, 0x0190_a000_0000_0000_0000_0000_0000_0000);
        assert_eq!(high, 0x0190_afff_ffff_ffff_ffff_ffff_ffff_ffff);
        assert_eq!(id_prefix("order-17"), None);
        assert_eq!(id_prefix(""), None);
        assert_eq!(id_prefix("ffffffffffffffffffffffffffffffff0"), None);
        assert_eq!(id_prefix("ü"), None);
    }

    #[test]
    fn a_cursor_comes_back_from_its_text() {
        let cursor = ListCursor { created_at: 1_700_000_000_000, saga: u128::MAX - 5 };
        assert_eq!(ListCursor::from_text(&cursor.to_text()), Some(cursor));
        assert_eq!(ListCursor::from_text("x"), None);
        assert_eq!(ListCursor::from_text("1-zz"), None);
    }
}
