//! The worst-case work of an evaluation, worked out over the values it is about to see.
//!
//! CEL always ends, but a short text can still ask for gigabytes (`xs.map(x, s + s + s)`). The
//! estimate is an upper bound of the bytes read and made: a path is as large as the value it leads
//! to, a call reads its arguments and makes at most their sum, a comprehension is estimated item
//! by item.

use std::cell::Cell;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};
use serde_json::Value as Json;

use super::analyse::reference;
use super::path::{Scope, follow};
use super::{LIST_ITEMS_MAX, WORK_BYTES_MAX};

/// What keeps an expression from being evaluated over these values.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TooMuch {
    /// It goes through a list longer than [`LIST_ITEMS_MAX`].
    LongList,
    /// It may read or make more than [`WORK_BYTES_MAX`].
    Work,
}

/// What reads its arguments and makes no more than a truth value or a number.
const PREDICATES: &[&str] = &[
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "int",
    "uint",
    "double",
    "bool",
    "_&&_",
    "_||_",
    "!_",
    "_==_",
    "_!=_",
    "_>=_",
    "_<=_",
    "_>_",
    "_<_",
    "@in",
    "@not_strictly_false",
];

/// Is the evaluation within the bounds?
pub(super) fn check(root: &IdedExpr, scope: Scope<'_>) -> Result<(), TooMuch> {
    let estimate = Estimate { scope, work: Cell::new(0) };
    estimate.size(root, &[]).map(drop)
}

/// A comprehension's variable: the value it has, or how large it can be.
#[derive(Clone, Copy)]
enum Local<'a> {
    Value(&'a Json),
    Size(u64),
}

struct Estimate<'a> {
    scope: Scope<'a>,
    work: Cell<u64>,
}

impl<'a> Estimate<'a> {
    /// The most bytes the value can have; adds up the work on the way.
    fn size(&self, node: &IdedExpr, locals: &[(&str, Local<'a>)]) -> Result<u64, TooMuch> {
        self.spend(1)?;
        if let Some(value) = self.resolve(node, locals) {
            return self.weigh(value);
        }
        match &node.expr {
            Expr::Unspecified => Ok(0),
            Expr::Ident(name) => Ok(match find(locals, name) {
                Some(Local::Size(size)) => size,
                _ => 0,
            }),
            Expr::Literal(LiteralValue::String(text)) => Ok(text.inner().len() as u64 + 8),
            Expr::Literal(LiteralValue::Bytes(bytes)) => Ok(bytes.inner().len() as u64 + 8),
            Expr::Literal(_) => Ok(8),
            Expr::Select(select) => self.size(&select.operand, locals),
            // A size is known without reading what it is the size of.
            Expr::Call(call) if call.func_name == "size" && self.is_path(call, locals) => Ok(8),
            Expr::Call(call) => {
                let mut sum = 8u64;
                for argument in call.target.as_deref().into_iter().chain(&call.args) {
                    sum = sum.saturating_add(self.size(argument, locals)?);
                }
                self.spend(sum)?;
                Ok(match call.func_name.as_str() {
                    // Text of bytes can be longer than what it is made from.
                    "string" => sum.saturating_mul(4),
                    name if PREDICATES.contains(&name) => 8,
                    _ => sum,
                })
            }
            Expr::List(list) => {
                let sum = self.sum(list.elements.iter(), locals)?;
                self.spend(sum)?;
                Ok(sum)
            }
            Expr::Map(map) => self.entries(map.entries.iter().map(|e| &e.expr), locals),
            Expr::Struct(message) => self.entries(message.entries.iter().map(|e| &e.expr), locals),
            Expr::Comprehension(c) => self.comprehension(c, locals),
        }
    }

    fn comprehension(
        &self,
        c: &cel::common::ast::ComprehensionExpr,
        locals: &[(&str, Local<'a>)],
    ) -> Result<u64, TooMuch> {
        let range = self.size(&c.iter_range, locals)?;
        let items: Vec<Local<'a>> = match self.resolve(&c.iter_range, locals) {
            Some(Json::Array(items)) => items.iter().map(Local::Value).collect(),
            Some(Json::Object(fields)) => {
                fields.keys().map(|key| Local::Size(key.len() as u64 + 8)).collect()
            }
            Some(_) => Vec::new(),
            None => {
                let items = match &c.iter_range.expr {
                    Expr::List(list) => list.elements.len(),
                    // Each item takes some bytes, and `check` of the range has counted them.
                    _ => usize::try_from(range / 8).unwrap_or(usize::MAX).min(LIST_ITEMS_MAX),
                };
                vec![Local::Size(range); items]
            }
        };
        if items.len() > LIST_ITEMS_MAX {
            return Err(TooMuch::LongList);
        }
        // The accumulator's own size is left out of the step and added up here instead: each round
        // adds to it what the step makes.
        let mut made = self.size(&c.accu_init, locals)?;
        let mut inner: Vec<(&str, Local<'a>)> = locals.to_vec();
        inner.push((&c.accu_var, Local::Size(0)));
        let at = inner.len();
        inner.push((&c.iter_var, Local::Size(0)));
        if let Some(second) = c.iter_var2.as_deref() {
            inner.push((second, Local::Size(0)));
        }
        for item in items {
            inner[at].1 = item;
            if let Some(second) = inner.get_mut(at + 1) {
                second.1 = item;
            }
            self.size(&c.loop_cond, &inner)?;
            made = made.saturating_add(self.size(&c.loop_step, &inner)?);
        }
        Ok(made)
    }

    fn entries<'e>(
        &self,
        entries: impl Iterator<Item = &'e EntryExpr>,
        locals: &[(&str, Local<'a>)],
    ) -> Result<u64, TooMuch> {
        let mut sum = 8u64;
        for entry in entries {
            sum = sum.saturating_add(match entry {
                EntryExpr::StructField(field) => self.size(&field.value, locals)?,
                EntryExpr::MapEntry(entry) => {
                    self.size(&entry.key, locals)?.saturating_add(self.size(&entry.value, locals)?)
                }
            });
        }
        self.spend(sum)?;
        Ok(sum)
    }

    fn sum<'e>(
        &self,
        nodes: impl Iterator<Item = &'e IdedExpr>,
        locals: &[(&str, Local<'a>)],
    ) -> Result<u64, TooMuch> {
        let mut sum = 8u64;
        for node in nodes {
            sum = sum.saturating_add(self.size(node, locals)?);
        }
        Ok(sum)
    }

    /// Is every argument of the call a plain path?
    fn is_path(&self, call: &cel::common::ast::CallExpr, locals: &[(&str, Local<'a>)]) -> bool {
        let mut arguments = call.target.as_deref().into_iter().chain(&call.args);
        arguments.all(|argument| self.resolve(argument, locals).is_some())
    }

    /// The value a plain path leads to.
    fn resolve(&self, node: &IdedExpr, locals: &[(&str, Local<'a>)]) -> Option<&'a Json> {
        let reference = reference(node)?;
        let from = match find(locals, &reference.root) {
            Some(Local::Value(value)) => value,
            Some(Local::Size(_)) => return None,
            None => self.scope.get(&reference.root)?,
        };
        follow(from, &reference.path).ok()
    }

    /// The bytes of a value, which it costs as much to find out.
    fn weigh(&self, value: &Json) -> Result<u64, TooMuch> {
        let size = match value {
            Json::Null | Json::Bool(_) | Json::Number(_) => 8,
            Json::String(text) => text.len() as u64 + 8,
            Json::Array(items) => {
                let mut sum = 8;
                for item in items {
                    sum += self.weigh(item)?;
                }
                sum
            }
            Json::Object(fields) => {
                let mut sum = 8;
                for (key, value) in fields {
                    sum += key.len() as u64 + 8 + self.weigh(value)?;
                }
                sum
            }
        };
        self.spend(8)?;
        Ok(size)
    }

    fn spend(&self, bytes: u64) -> Result<(), TooMuch> {
        self.work.set(self.work.get().saturating_add(bytes));
        if self.work.get() > WORK_BYTES_MAX { Err(TooMuch::Work) } else { Ok(()) }
    }
}

fn find<'a>(locals: &[(&str, Local<'a>)], name: &str) -> Option<Local<'a>> {
    locals.iter().rev().find(|(n, _)| *n == name).map(|(_, local)| *local)
}
