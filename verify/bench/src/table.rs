//! A table for the terminal. Owns: column widths.
//! Must not know: what is in it.

/// Lines of cells; the first is the header.
pub struct Table {
    lines: Vec<Vec<String>>,
    /// Columns to the left of this one are aligned left, the others right.
    first_right: usize,
}

impl Table {
    /// A table with a header.
    pub fn new(header: &[&str], first_right: usize) -> Table {
        Table { lines: vec![header.iter().map(|&cell| cell.to_owned()).collect()], first_right }
    }

    /// Adds a line.
    pub fn push(&mut self, cells: Vec<String>) {
        self.lines.push(cells);
    }

    /// The table as text, a rule under its header.
    pub fn text(&self) -> String {
        let columns = self.lines.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for (at, line) in self.lines.iter().enumerate() {
            let mut text = String::new();
            for (column, cell) in line.iter().enumerate() {
                let padding = " ".repeat(widths[column] - cell.chars().count());
                let gap = if column == 0 { "" } else { "  " };
                text.push_str(gap);
                if column < self.first_right {
                    text.push_str(cell);
                    text.push_str(&padding);
                } else {
                    text.push_str(&padding);
                    text.push_str(cell);
                }
            }
            out.push_str(text.trim_end());
            out.push('\n');
            if at == 0 {
                out.push_str(&"-".repeat(widths.iter().sum::<usize>() + 2 * (columns - 1)));
                out.push('\n');
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["what", "n"], 1);
        table.push(vec!["a".into(), "1".into()]);
        table.push(vec!["longer".into(), "100".into()]);
        assert_eq!(table.text(), "what      n\n-----------\na         1\nlonger  100\n");
    }
}
