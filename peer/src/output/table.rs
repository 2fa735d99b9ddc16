//! Tables that fit the screen, printed in blocks, so that a table of the whole index is never held in memory.
//!
//! Every cell is one line, and escaped. On a terminal, long cells are cut with an ellipsis, and where even that leaves
//! no room, whole columns are left out, the least important first. In a pipe, nothing is cut or left out, and every
//! column but the last is free of spaces, so that `awk` can split a line.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Width, presets};
use p2p_ci::text::escaped;
use unicode_width::UnicodeWidthStr as _;

use super::screen::Screen;

/// Rows that are laid out together: a screen or two. Columns keep at least their width from block to block.
const BLOCK_ROWS: usize = 100;

/// Spaces between two columns.
const GAP: usize = 2;

/// How a column gives way when the screen is too narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Always shown, never cut.
    Whole,
    /// Cut to what is comfortable, and where that is not enough and nothing can be left out, to the least.
    Cut {
        /// Columns that it keeps as long as others can be left out.
        comfortable: usize,
        /// Columns that it keeps in any case.
        least: usize,
    },
    /// Cut likewise, and left out where not even the least has room.
    CutOrOut {
        /// Columns that it keeps as long as others can be left out.
        comfortable: usize,
        /// Columns that it keeps as long as it is shown.
        least: usize,
    },
    /// Never cut, but left out; those with larger ranks go first.
    Rank(u8),
}

impl Fit {
    /// What a column is cut to, comfortably and at least; `None` when it is never cut.
    const fn bounds(self) -> Option<(usize, usize)> {
        match self {
            Self::Cut { comfortable, least } | Self::CutOrOut { comfortable, least } => Some((comfortable, least)),
            Self::Whole | Self::Rank(_) => None,
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// What stands above it.
    pub heading: &'static str,
    /// Whether it holds numbers, which are aligned at the right.
    pub numeric: bool,
    /// How it gives way.
    pub fit: Fit,
    /// Columns of the screen that it takes at least, so that it keeps its width from block to block.
    pub usual_width: usize,
}

impl Column {
    /// A column of text.
    #[must_use]
    pub const fn text(heading: &'static str, fit: Fit) -> Self {
        Self {
            heading,
            numeric: false,
            fit,
            usual_width: 0,
        }
    }

    /// A column of numbers.
    #[must_use]
    pub const fn number(heading: &'static str, fit: Fit) -> Self {
        Self {
            heading,
            numeric: true,
            fit,
            usual_width: 0,
        }
    }

    /// The same column, as wide as its cells usually need.
    #[must_use]
    pub const fn usually(self, usual_width: usize) -> Self {
        Self { usual_width, ..self }
    }
}

/// A table in the making. It has as many columns as it was made with; each row has as many cells.
#[derive(Debug)]
pub struct Table<const N: usize> {
    columns: [Column; N],
    screen: Screen,
    /// What each column is wide at least; `None` for one that is left out.
    widths: [Option<usize>; N],
    rows: Vec<[String; N]>,
    begun: bool,
}

impl<const N: usize> Table<N> {
    /// An empty table for `screen`.
    #[must_use]
    pub fn new(columns: [Column; N], screen: Screen) -> Self {
        Self {
            columns,
            screen,
            widths: columns.map(|column| Some(column.heading.width().max(column.usual_width))),
            rows: Vec::new(),
            begun: false,
        }
    }

    /// Adds a row, and returns a block of the table when enough rows have come together.
    pub fn push(&mut self, cells: [String; N]) -> Option<String> {
        self.rows.push(cells.map(|cell| escaped(&cell).to_string()));
        if self.rows.len() < BLOCK_ROWS {
            None
        } else {
            self.block()
        }
    }

    /// The rows that were added since the last block, with the headings above the first; `None` when there are none.
    pub fn block(&mut self) -> Option<String> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return None;
        }
        let natural = self.natural_widths(&rows);
        self.widths = self.fitted(natural);
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        if !self.begun {
            table.set_header(self.visible(&self.columns.map(|column| column.heading.to_owned())));
        }
        for row in &rows {
            table.add_row(self.visible(row));
        }
        self.arrange(&mut table);
        self.begun = true;
        Some(table.trim_fmt())
    }

    /// How wide each column would like to be: as its widest cell, and as it was before.
    fn natural_widths(&self, rows: &[[String; N]]) -> [Option<usize>; N] {
        let mut natural = self.widths;
        for row in rows {
            for (width, cell) in natural.iter_mut().zip(row) {
                *width = width.map(|width| width.max(cell.width()));
            }
        }
        natural
    }

    /// How wide each column is, so that the table fits the screen where it can.
    fn fitted(&self, natural: [Option<usize>; N]) -> [Option<usize>; N] {
        let Some(columns) = self.screen.columns else {
            return natural;
        };
        let mut kept = natural;
        loop {
            let mut widths = kept;
            if self.shrink(&mut widths, columns, |comfortable, _| comfortable) {
                return widths;
            }
            if self.leave_one_out(&mut kept) {
                continue;
            }
            if self.shrink(&mut widths, columns, |_, least| least) || !self.leave_cuttable_out(&mut kept) {
                return widths;
            }
        }
    }

    /// Narrows the columns that may be cut, always the widest, down to one of their two bounds; says whether the table
    /// fits into `columns` then.
    fn shrink(&self, widths: &mut [Option<usize>; N], columns: usize, bound: impl Fn(usize, usize) -> usize) -> bool {
        let mut excess = total(widths).saturating_sub(columns);
        while excess > 0 {
            let cuttable = self
                .columns
                .iter()
                .zip(widths.iter_mut())
                .filter_map(|(column, width)| {
                    let (comfortable, least) = column.fit.bounds()?;
                    width.as_mut().filter(|width| **width > bound(comfortable, least))
                });
            let Some(widest) = cuttable.max_by_key(|width| **width) else {
                return false;
            };
            *widest -= 1;
            excess -= 1;
        }
        true
    }

    /// Leaves out the column that matters least; says whether there was one.
    fn leave_one_out(&self, widths: &mut [Option<usize>; N]) -> bool {
        let least = self
            .columns
            .iter()
            .zip(widths.iter_mut())
            .filter_map(|(column, width)| match column.fit {
                Fit::Rank(rank) if width.is_some() => Some((rank, width)),
                Fit::Rank(_) | Fit::Whole | Fit::Cut { .. } | Fit::CutOrOut { .. } => None,
            })
            .max_by_key(|(rank, _)| *rank);
        least.map(|(_, width)| *width = None).is_some()
    }

    /// Leaves out the first column that is to be left out where it cannot be cut any further; says whether there was one.
    fn leave_cuttable_out(&self, widths: &mut [Option<usize>; N]) -> bool {
        let mut columns = self.columns.iter().zip(widths.iter_mut());
        let found = columns.find(|(column, width)| matches!(column.fit, Fit::CutOrOut { .. }) && width.is_some());
        found.map(|(_, width)| *width = None).is_some()
    }

    /// The cells of the columns that are shown, cut to their width.
    fn visible(&self, cells: &[String; N]) -> Row {
        let shown = self
            .widths
            .iter()
            .zip(cells)
            .filter_map(|(width, cell)| width.map(|width| self.screen.cut(cell, width)));
        Row::from(shown)
    }

    /// Gives each shown column its width and alignment.
    fn arrange(&self, table: &mut comfy_table::Table) {
        let shown = self
            .columns
            .iter()
            .zip(self.widths)
            .filter_map(|(column, width)| Some((column, width?)));
        for ((column, width), arranged) in shown.zip(table.column_iter_mut()) {
            let padding = u16::try_from(GAP).unwrap_or(0);
            arranged.set_padding((0, padding));
            let width = u16::try_from(width).unwrap_or(u16::MAX).saturating_add(padding);
            arranged.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
            arranged.set_cell_alignment(if column.numeric {
                CellAlignment::Right
            } else {
                CellAlignment::Left
            });
        }
    }
}

/// How wide a table is.
fn total(widths: &[Option<usize>]) -> usize {
    let shown = widths.iter().flatten().count();
    widths.iter().flatten().sum::<usize>() + GAP * shown.saturating_sub(1)
}
