//! One handler: its attribute, and a signature that is checked token by token.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, FnArg, GenericArgument, ImplItemFn, LitStr, PathArguments, Result,
    ReturnType, Token, Type,
};

use crate::service::{Said, must_be_a_name};

/// A function that is a handler.
pub(crate) struct Handler {
    pub(crate) name: LitStr,
    pub(crate) kind: Kind,
    pub(crate) function: syn::Ident,
    pub(crate) takes_self: bool,
    /// The `D` in `&mut Tx<D>`.
    pub(crate) database: Type,
    /// What it takes: an action's data, a compensation's result.
    pub(crate) input: Type,
}

/// Which of the two.
pub(crate) enum Kind {
    /// With what it returns.
    Action { result: Box<Type> },
    /// With the action whose result it takes.
    Compensation { undoes: LitStr },
}

impl Kind {
    pub(crate) const fn is_action(&self) -> bool {
        matches!(self, Self::Action { .. })
    }
}

const ACTION: &str = "async fn name(&self, tx: &mut Tx<D>, data: T, about: &About) -> Outcome<R>";
const COMPENSATION: &str =
    "async fn name(&self, tx: &mut Tx<D>, result: R, about: &About) -> Undoing";

impl Handler {
    /// Reads a function, and takes our attribute off it; `None` when it has none.
    pub(crate) fn read(function: &mut ImplItemFn) -> Result<Option<Self>> {
        let Some(attribute) = ours(&mut function.attrs)? else { return Ok(None) };
        let is_action = attribute.path().is_ident("action");
        let form = if is_action { ACTION } else { COMPENSATION };
        let signature = &function.sig;
        if signature.asyncness.is_none() {
            let what = format!("a handler is async: write `async fn {}`", signature.ident);
            return Err(Error::new(signature.fn_token.span(), what));
        }
        if !signature.generics.params.is_empty() {
            let what = format!("a handler has no parameters of types or lifetimes: write `{form}`");
            return Err(Error::new(signature.generics.span(), what));
        }
        let takes_self = match signature.inputs.first() {
            Some(FnArg::Receiver(receiver)) => {
                if receiver.reference.is_none() || receiver.mutability.is_some() {
                    let what = "many commands run at once: write `&self`, or leave it out";
                    return Err(Error::new(receiver.span(), what));
                }
                true
            }
            _ => false,
        };
        let arguments: Vec<&Type> = signature
            .inputs
            .iter()
            .filter_map(|input| match input {
                FnArg::Typed(typed) => Some(&*typed.ty),
                FnArg::Receiver(_) => None,
            })
            .collect();
        let [tx, input, about] = arguments[..] else {
            let what = format!("a handler takes three things: write `{form}`");
            return Err(Error::new(signature.paren_token.span.join(), what));
        };
        let database = transaction(tx).ok_or_else(|| {
            let what = format!("the transaction comes first, as `&mut Tx<D>`: write `{form}`");
            Error::new(tx.span(), what)
        })?;
        if !is_about(about) {
            let what =
                format!("what is known of the command comes last, as `&About`: write `{form}`");
            return Err(Error::new(about.span(), what));
        }
        if matches!(input, Type::Reference(_)) {
            let what = "it is owned: it was read from the command, and is yours";
            return Err(Error::new(input.span(), what));
        }
        let (name, kind) = if is_action {
            let name: LitStr = attribute.parse_args().map_err(|e| {
                Error::new(e.span(), format!("name the command: #[action(\"ReserveItems\")] ({e})"))
            })?;
            let result = returned(&signature.output).ok_or_else(|| {
                let what = "an action returns `Outcome<R>`, with R what its compensation is given";
                Error::new(place(&signature.output, &signature.ident), what)
            })?;
            (name, Kind::Action { result: Box::new(result) })
        } else {
            let Undoes { name, action } = attribute.parse_args()?;
            if !is_undoing(&signature.output) {
                let what = "a compensation returns `Undoing`: an undo cannot be refused";
                return Err(Error::new(place(&signature.output, &signature.ident), what));
            }
            (name, Kind::Compensation { undoes: action })
        };
        must_be_a_name(&name, "a command")?;
        let function = signature.ident.clone();
        Ok(Some(Self { name, kind, function, takes_self, database, input: input.clone() }))
    }
}

/// `"ReleaseReservation", undoes = "ReserveItems"`.
struct Undoes {
    name: LitStr,
    action: LitStr,
}

impl Parse for Undoes {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        const USAGE: &str = "name the command, and the action whose result it is given: \
                             #[compensation(\"ReleaseReservation\", undoes = \"ReserveItems\")]";
        let name: LitStr = input.parse().map_err(|e| Error::new(e.span(), USAGE))?;
        if input.is_empty() {
            return Err(Error::new(name.span(), USAGE));
        }
        input.parse::<Token![,]>()?;
        let Said { key, text } = input.parse()?;
        if key != "undoes" {
            return Err(Error::new(key.span(), format!("there is no key `{key}`; {USAGE}")));
        }
        Ok(Self { name, action: text })
    }
}

/// Is it `#[action]` or `#[compensation]`?
pub(crate) fn is_ours(attribute: &Attribute) -> bool {
    attribute.path().is_ident("action") || attribute.path().is_ident("compensation")
}

/// Takes `#[action]` or `#[compensation]` off a function.
fn ours(attributes: &mut Vec<Attribute>) -> Result<Option<Attribute>> {
    let Some(at) = attributes.iter().position(is_ours) else { return Ok(None) };
    let attribute = attributes.remove(at);
    match attributes.iter().find(|other| is_ours(other)) {
        Some(second) => {
            Err(Error::new(second.span(), "a handler has one command: this is its second"))
        }
        None => Ok(Some(attribute)),
    }
}

/// The `D` of `&mut Tx<D>`.
fn transaction(argument: &Type) -> Option<Type> {
    let Type::Reference(reference) = argument else { return None };
    reference.mutability?;
    generic(&reference.elem, "Tx")
}

fn is_about(argument: &Type) -> bool {
    let Type::Reference(reference) = argument else { return false };
    let named = matches!(&*reference.elem, Type::Path(path) if ends_with(path, "About"));
    reference.mutability.is_none() && named
}

fn returned(output: &ReturnType) -> Option<Type> {
    let ReturnType::Type(_, returned) = output else { return None };
    generic(returned, "Outcome")
}

fn is_undoing(output: &ReturnType) -> bool {
    let ReturnType::Type(_, returned) = output else { return false };
    matches!(&**returned, Type::Path(path) if ends_with(path, "Undoing"))
}

/// The `T` of `Name<T>`, by whatever path.
fn generic(named: &Type, name: &str) -> Option<Type> {
    let Type::Path(path) = named else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(inner) => Some(inner.clone()),
        _ => None,
    })
}

fn ends_with(path: &syn::TypePath, name: &str) -> bool {
    path.path.segments.last().is_some_and(|last| last.ident == name)
}

/// Where a return type is, or should be.
fn place(output: &ReturnType, function: &syn::Ident) -> Span {
    match output {
        ReturnType::Type(_, returned) => returned.span(),
        ReturnType::Default => function.span(),
    }
}
