//! From an `impl` block to the same block and the function that registers its handlers.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, ImplItem, ItemImpl, Result};

use crate::handler::{Handler, Kind, is_ours};
use crate::service::Service;

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expanded(attribute, item.clone()).unwrap_or_else(|error| refused(&error, item))
}

/// What is wrong, and the item as it was written, with a `participant` of any database: the compiler
/// has nothing to say then of what is right, such as imports that nobody uses or a function that is
/// not there.
fn refused(error: &Error, item: TokenStream) -> TokenStream {
    let error = error.to_compile_error();
    let Ok(mut block) = syn::parse2::<ItemImpl>(item.clone()) else {
        return quote!(#error #item);
    };
    for item in &mut block.items {
        if let ImplItem::Fn(function) = item {
            function.attrs.retain(|attribute| !is_ours(attribute));
        }
    }
    let (parameters, _, conditions) = block.generics.split_for_impl();
    let itself = &block.self_ty;
    quote! {
        #error
        #block

        impl #parameters #itself #conditions {
            #[doc(hidden)]
            pub fn participant<AnyDatabase: ::amends_participant::Database>(
                self,
                _: ::amends_participant::__private::Pool<AnyDatabase>,
            ) -> ::amends_participant::Builder<AnyDatabase> {
                // The error above keeps this from ever being built.
                ::core::unreachable!()
            }
        }
    }
}

fn expanded(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Service(service) = Service::read(attribute)?;
    let mut block: ItemImpl = syn::parse2(item).map_err(|e| {
        Error::new(e.span(), "#[participant] goes on an `impl` block whose functions are handlers")
    })?;
    if let Some((_, of, _)) = &block.trait_ {
        let what = "the handlers stand in an `impl` block of the type itself, not of a trait";
        return Err(Error::new(of.span(), what));
    }
    if !block.generics.params.is_empty() {
        let what = "a participant has one type: write an `impl` block without parameters";
        return Err(Error::new(block.generics.span(), what));
    }
    let mut handlers = Vec::new();
    for item in &mut block.items {
        if let ImplItem::Fn(function) = item {
            handlers.extend(Handler::read(function)?);
        }
    }
    let Some(first) = handlers.first() else {
        let what = "it has no handler: put #[action(\"…\")] or #[compensation(\"…\", undoes = \
                    \"…\")] on its functions";
        return Err(Error::new(block.self_ty.span(), what));
    };
    let database = first.database.clone();
    for (n, handler) in handlers.iter().enumerate() {
        must_be_new(handler, &handlers[..n])?;
        must_be_of(handler, &database)?;
    }
    let same_types =
        handlers.iter().map(|h| same_types(h, &handlers)).collect::<Result<Vec<_>>>()?;
    let registered = handlers.iter().map(registered);
    let itself = &block.self_ty;
    Ok(quote! {
        #block

        impl #itself {
            /// The participant with these handlers, on this pool.
            #[must_use]
            pub fn participant(
                self,
                pool: ::amends_participant::__private::Pool<#database>,
            ) -> ::amends_participant::Builder<#database> {
                #(#same_types)*
                let this = ::std::sync::Arc::new(self);
                let builder = ::amends_participant::Participant::builder(#service, pool);
                #(#registered)*
                let _ = this;
                builder
            }
        }
    })
}

/// One command may be an action of one step and the compensation of another, with a handler for
/// each; it is never twice the same of the two.
fn must_be_new(handler: &Handler, earlier: &[Handler]) -> Result<()> {
    let name = handler.name.value();
    let same = |other: &&Handler| {
        other.name.value() == name && other.kind.is_action() == handler.kind.is_action()
    };
    match earlier.iter().find(same) {
        Some(other) => {
            let what = format!(
                "{name} is the {} of `{}` already: it has one handler",
                if handler.kind.is_action() { "action" } else { "compensation" },
                other.function
            );
            Err(Error::new(handler.name.span(), what))
        }
        None => Ok(()),
    }
}

fn must_be_of(handler: &Handler, database: &syn::Type) -> Result<()> {
    let (ours, theirs) = (quote!(#database).to_string(), &handler.database);
    if ours == quote!(#theirs).to_string() {
        return Ok(());
    }
    let what = format!("a participant has one database, and the first handler's is {ours}");
    Err(Error::new(theirs.span(), what))
}

/// Has the compiler say it at the compensation's type when it is not what the action returns.
fn same_types(handler: &Handler, all: &[Handler]) -> Result<TokenStream> {
    let Kind::Compensation { undoes } = &handler.kind else { return Ok(TokenStream::new()) };
    let actions = || {
        all.iter().filter_map(|other| match &other.kind {
            Kind::Action { result } => Some((other.name.value(), result)),
            Kind::Compensation { .. } => None,
        })
    };
    let Some((_, result)) = actions().find(|(name, _)| *name == undoes.value()) else {
        let known: Vec<_> = actions().map(|(name, _)| name).collect();
        let what = format!("there is no action of that name here; there are: {}", known.join(", "));
        return Err(Error::new(undoes.span(), what));
    };
    let input = &handler.input;
    Ok(quote_spanned! { input.span() =>
        let _: fn(#result) -> #input = |what_the_action_returns| what_the_action_returns;
    })
}

fn registered(handler: &Handler) -> TokenStream {
    let Handler { name, function, input, .. } = handler;
    let (register, types) = match handler.kind {
        Kind::Action { .. } => (quote!(action_boxed), quote!(#input, _, _)),
        Kind::Compensation { .. } => (quote!(compensation_boxed), quote!(#input, _)),
    };
    let call = if handler.takes_self {
        quote!(this.#function(tx, input, about))
    } else {
        quote!(Self::#function(tx, input, about))
    };
    let function_span = function.span();
    let call = quote_spanned!(function_span=> #call.await);
    quote! {
        let builder = {
            let this = ::std::sync::Arc::clone(&this);
            builder.#register::<#types>(#name, move |tx, input, about| {
                let this = ::std::sync::Arc::clone(&this);
                ::std::boxed::Box::pin(async move {
                    let _ = &this;
                    #call
                })
            })
        };
    }
}
