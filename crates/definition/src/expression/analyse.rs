//! What an expression names, calls and loops over, read from its tree.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};

/// A variable with the fields taken from it: `result.pay.id` is `result`, [`pay`, `id`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) root: String,
    pub(crate) path: Vec<String>,
    /// Whether the last field is only asked after: `has(…)`.
    pub(crate) asked: bool,
}

/// All that is to be known about an expression.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    pub(crate) references: Vec<Reference>,
    pub(crate) functions: Vec<String>,
    /// How deep comprehensions nest; one over the result of another counts as nested.
    pub(crate) comprehensions_deep: usize,
    /// The most elements of a list literal.
    pub(crate) list_items: usize,
    /// Whether something stands in it that has no meaning here: a message literal.
    pub(crate) message_literal: bool,
}

/// Walks the tree.
pub(crate) fn analyse(root: &IdedExpr) -> Analysis {
    let mut walk = Walk { found: Analysis::default(), local: Vec::new() };
    let deep = walk.visit(root);
    walk.found.comprehensions_deep = deep;
    walk.found
}

struct Walk<'e> {
    found: Analysis,
    local: Vec<&'e str>,
}

impl<'e> Walk<'e> {
    /// Returns how deep comprehensions nest in it.
    fn visit(&mut self, node: &'e IdedExpr) -> usize {
        if let Some(reference) = reference(node) {
            if !self.local.contains(&reference.root.as_str())
                && !self.found.references.contains(&reference)
            {
                self.found.references.push(reference);
            }
            return 0;
        }
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => 0,
            Expr::Select(select) => self.visit(&select.operand),
            Expr::Call(call) => {
                if !self.found.functions.contains(&call.func_name) {
                    self.found.functions.push(call.func_name.clone());
                }
                let target = call.target.as_deref().map_or(0, |t| self.visit(t));
                call.args.iter().map(|a| self.visit(a)).fold(target, usize::max)
            }
            Expr::List(list) => {
                self.found.list_items = self.found.list_items.max(list.elements.len());
                list.elements.iter().map(|e| self.visit(e)).max().unwrap_or(0)
            }
            Expr::Map(map) => {
                let mut deep = 0;
                for entry in &map.entries {
                    deep = deep.max(self.visit_entry(&entry.expr));
                }
                deep
            }
            Expr::Struct(message) => {
                self.found.message_literal = true;
                message.entries.iter().map(|e| self.visit_entry(&e.expr)).max().unwrap_or(0)
            }
            Expr::Comprehension(comprehension) => {
                let c = comprehension.as_ref();
                let range = self.visit(&c.iter_range);
                let locals = self.local.len();
                self.local.push(&c.iter_var);
                self.local.extend(c.iter_var2.as_deref());
                self.local.push(&c.accu_var);
                let inner = [&c.accu_init, &c.loop_cond, &c.loop_step, &c.result];
                let deep = inner.map(|e| self.visit(e)).into_iter().fold(range, usize::max);
                self.local.truncate(locals);
                deep + 1
            }
        }
    }

    fn visit_entry(&mut self, entry: &'e EntryExpr) -> usize {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value),
            EntryExpr::MapEntry(entry) => self.visit(&entry.key).max(self.visit(&entry.value)),
        }
    }
}

/// The node as a variable with fields, when it is nothing else. `a["b"]` is the same as `a.b`.
pub(super) fn reference(node: &IdedExpr) -> Option<Reference> {
    match &node.expr {
        Expr::Ident(name) => Some(Reference { root: name.clone(), path: Vec::new(), asked: false }),
        Expr::Select(select) => {
            let mut reference = reference(&select.operand).filter(|r| !r.asked)?;
            reference.path.push(select.field.clone());
            reference.asked = select.test;
            Some(reference)
        }
        Expr::Call(call) if call.func_name == cel::common::ast::operators::INDEX => {
            let [of, key] = call.args.as_slice() else { return None };
            let Expr::Literal(LiteralValue::String(key)) = &key.expr else { return None };
            let mut reference = reference(of).filter(|r| !r.asked)?;
            reference.path.push(key.inner().to_string());
            Some(reference)
        }
        _ => None,
    }
}
