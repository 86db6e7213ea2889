//! The fields: which are traced, which are skipped.

use proc_macro2::{Span, TokenStream as Tokens};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Attribute, Data, DeriveInput, Error, Fields, Ident, Lifetime, Member, Type};

use crate::lifetimes::Lifetimes;

/// A field of a struct or of a variant.
pub(crate) struct Field<'a> {
    member: Member,
    pub(crate) ty: &'a Type,
    pub(crate) is_skipped: bool,
}

/// A struct, or a variant of an enum: the path of its pattern, and its fields.
pub(crate) struct Shape<'a> {
    path: Tokens,
    pub(crate) fields: Vec<Field<'a>>,
}

/// The struct, or the variants.
pub(crate) fn shapes_of<'a>(input: &'a DeriveInput, lifetimes: &Lifetimes) -> Result<Vec<Shape<'a>>, Error> {
    let nowhere_else = |attributes: &[Attribute]| match attributes.iter().find(|attribute| is_ours(attribute)) {
        Some(attribute) => Err(Error::new_spanned(attribute, "`#[trace(...)]` is for fields: put it in front of one")),
        None => Ok(()),
    };
    nowhere_else(&input.attrs)?;
    match &input.data {
        Data::Struct(data) => Ok(vec![Shape { path: quote!(Self), fields: fields_of(&data.fields, lifetimes)? }]),
        Data::Enum(data) => {
            let shape = |variant: &'a syn::Variant| {
                nowhere_else(&variant.attrs)?;
                let name = &variant.ident;
                Ok(Shape { path: quote!(Self::#name), fields: fields_of(&variant.fields, lifetimes)? })
            };
            data.variants.iter().map(shape).collect()
        }
        Data::Union(_) => Err(Error::new_spanned(
            &input.ident,
            "Trace cannot be derived for a union: which field holds the pointers is not known",
        )),
    }
}

fn fields_of<'a>(fields: &'a Fields, lifetimes: &Lifetimes) -> Result<Vec<Field<'a>>, Error> {
    let field = |(field, member): (&'a syn::Field, Member)| {
        let is_skipped = is_skipped(&field.attrs)?;
        if is_skipped && let Some(brand) = brand_in(&field.ty, lifetimes) {
            return Err(Error::new_spanned(
                brand,
                "a field that is skipped may not have the heap's lifetime in its type: nobody would see the pointers \
                 in it. Remove `#[trace(skip)]`, or use a type that is `'static`",
            ));
        }
        Ok(Field { member, ty: &field.ty, is_skipped })
    };
    fields.iter().zip(fields.members()).map(field).collect()
}

fn is_ours(attribute: &Attribute) -> bool {
    attribute.path().is_ident("trace")
}

/// Whether a field has `#[trace(skip)]`; whatever else is said there is an error.
fn is_skipped(attributes: &[Attribute]) -> Result<bool, Error> {
    let mut is_skipped = false;
    for attribute in attributes.iter().filter(|attribute| is_ours(attribute)) {
        let unknown = || Error::new_spanned(attribute, "the one thing to say here is `#[trace(skip)]`");
        let said: Ident = attribute.parse_args().map_err(|_| unknown())?;
        if said != "skip" || is_skipped {
            return Err(unknown());
        }
        is_skipped = true;
    }
    Ok(is_skipped)
}

/// The first lifetime in a field's type that is the heap's.
fn brand_in(field: &Type, lifetimes: &Lifetimes) -> Option<Lifetime> {
    struct Search<'a>(&'a Lifetimes, Option<Lifetime>);
    impl<'ast> Visit<'ast> for Search<'_> {
        fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
            if self.0.is_brand(lifetime) {
                self.1.get_or_insert_with(|| lifetime.clone());
            }
        }
    }
    let mut search = Search(lifetimes, None);
    search.visit_type(field);
    search.1
}

/// Whether a field's type names the type it is part of, or could without its tokens showing it.
pub(crate) fn may_contain_itself(field: &Type, name: &Ident) -> bool {
    struct Search {
        name: Ident,
        found: bool,
    }
    impl<'ast> Visit<'ast> for Search {
        fn visit_ident(&mut self, ident: &'ast Ident) {
            let ident = ident.unraw();
            self.found |= ident == self.name || ident == "Self";
        }
        fn visit_macro(&mut self, _: &'ast syn::Macro) {
            self.found = true;
        }
        fn visit_type(&mut self, node: &'ast Type) {
            self.found |= matches!(node, Type::Verbatim(_));
            syn::visit::visit_type(self, node);
        }
    }
    let mut search = Search { name: name.unraw(), found: false };
    search.visit_type(field);
    search.found
}

/// A name for a variable. A constant of the same name in scope would be taken for a pattern, whatever the hygiene, hence a
/// name that no program has.
pub(crate) fn binding(name: &str) -> Ident {
    Ident::new(&format!("__linchpin_{name}"), Span::call_site())
}

/// Where a field's type stands, for what the compiler has to say of it. Only the place: names are looked up where the derive is.
pub(crate) fn place_of(field: &Type) -> Span {
    Span::call_site().located_at(field.span())
}

/// A variable, named at another place.
fn at(variable: &Ident, place: Span) -> Ident {
    Ident::new(&variable.to_string(), place)
}

/// A match that binds every field which is traced, and calls a method of `Trace` on each.
pub(crate) fn for_each_traced(shapes: &[Shape<'_>], method: &Tokens, argument: &Ident) -> Tokens {
    for_each(
        shapes,
        &quote!(self),
        |field| !field.is_skipped,
        |place, name| {
            let argument = at(argument, place);
            quote_spanned!(place=> ::linchpin::Trace::#method(#name, #argument);)
        },
    )
}

/// The method that adds up what every field which is traced owns outside the heap.
pub(crate) fn owned_bytes(shapes: &[Shape<'_>]) -> Option<Tokens> {
    if shapes.iter().flat_map(|shape| &shape.fields).all(|field| field.is_skipped) {
        return None;
    }
    let sum = binding("bytes");
    let body = for_each(
        shapes,
        &quote!(self),
        |field| !field.is_skipped,
        |place, name| {
            let sum = at(&sum, place);
            quote_spanned!(place=> #sum = #sum.saturating_add(::linchpin::Trace::owned_bytes(#name));)
        },
    );
    Some(quote! {
        #[inline]
        fn owned_bytes(&self) -> ::core::primitive::usize {
            let mut #sum: ::core::primitive::usize = 0;
            #body
            #sum
        }
    })
}

/// Compiles only if every field that is skipped is `'static`, whatever an attribute has made of it since the derive saw it; never runs.
///
/// By `&mut`, which is invariant: through a shared reference a function that takes what is branded would pass, as a subtype of one that
/// takes what is `'static`. By the tracer, whose methods no crate can replace.
pub(crate) fn check_skipped(shapes: &[Shape<'_>], tracer: &Ident) -> Option<Tokens> {
    if !shapes.iter().flat_map(|shape| &shape.fields).any(|field| field.is_skipped) {
        return None;
    }
    let value = binding("value");
    let body = for_each(
        shapes,
        &quote!(#value),
        |field| field.is_skipped,
        |place, name| {
            let tracer = at(tracer, place);
            quote_spanned!(place=> #tracer.check_static(#name);)
        },
    );
    Some(quote!(let _ = |#value: &mut Self| #body;))
}

fn for_each(
    shapes: &[Shape<'_>],
    value: &Tokens,
    is_wanted: impl Fn(&Field<'_>) -> bool,
    act: impl Fn(Span, &Ident) -> Tokens,
) -> Tokens {
    if shapes.is_empty() {
        return quote!(match *#value {});
    }
    let arms = shapes.iter().map(|Shape { path, fields }| {
        let (mut patterns, mut acts) = (Vec::new(), Vec::new());
        for (index, field) in fields.iter().enumerate() {
            let member = &field.member;
            if is_wanted(field) {
                let name = binding(&format!("field_{index}"));
                let place = place_of(field.ty);
                acts.push(act(place, &at(&name, place)));
                patterns.push(quote!(#member: #name));
            } else {
                patterns.push(quote!(#member: _));
            }
        }
        quote!(#path { #(#patterns,)* } => { #(#acts)* })
    });
    quote!(match #value { #(#arms)* })
}
