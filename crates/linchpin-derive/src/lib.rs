//! `#[derive(Trace)]` for the `linchpin` garbage-collected heap; see `linchpin::Trace`.

mod bounds;
mod fields;
mod lifetimes;
mod tagged;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{quote, quote_spanned};
use syn::{DeriveInput, Error, GenericParam, Generics, Ident, Lifetime, parse_macro_input, parse_quote};

use fields::{Field, binding, check_skipped, for_each_traced, may_contain_itself, owned_bytes, place_of, shapes_of};
use lifetimes::Lifetimes;

/// Derives `linchpin::Trace` for a struct or an enum.
///
/// The lifetime named `'gc` is the heap's; a type without pointers needs none. Any other must be bound to be `'static`, or to be the
/// same (`where 'code: 'gc, 'gc: 'code`). A type that has the heap's lifetime, or a type parameter that is not bound to be `'static`,
/// may not implement `Drop`.
///
/// Each type parameter must implement `Trace`, but for those that are bound to be `'static`: they can hold no pointer into the heap,
/// and stay what they are under every brand.
///
/// A field with `#[trace(skip)]` is not traced, and its type need not implement `Trace`. It must be `'static`, so that it cannot hold a
/// pointer into the heap. What it owns outside the heap is not counted (`Trace::owned_bytes`).
#[proc_macro_derive(Trace, attributes(trace))]
pub fn derive_trace(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// Derives `linchpin::Tagged` for an enum: its values fit into one word.
#[proc_macro_derive(Tagged)]
pub fn derive_tagged(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    tagged::expand(&input).unwrap_or_else(Error::into_compile_error).into()
}

fn expand(input: &DeriveInput) -> Result<Tokens, Error> {
    let lifetimes = Lifetimes::of(&input.generics)?;
    let shapes = shapes_of(input, &lifetimes)?;
    let name = &input.ident;
    // Those that may have a brand in them; the others are `'static`.
    let branded_parameters: Vec<&Ident> = input
        .generics
        .type_params()
        .filter(|parameter| !lifetimes.make_static(parameter, &input.generics))
        .map(|parameter| &parameter.ident)
        .collect();

    let mut generics = input.generics.clone();
    for parameter in generics.type_params_mut().filter(|parameter| branded_parameters.contains(&&parameter.ident)) {
        parameter.bounds.push(parse_quote!(::linchpin::Trace));
    }
    for predicate in bounds::branded_predicates(&input.generics, &lifetimes, &branded_parameters)? {
        generics.make_where_clause().predicates.push(predicate);
    }
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let own = own_arguments(&input.generics);
    let branded = branded_arguments(&input.generics, &lifetimes, &branded_parameters);

    // With the brand, a value may hold pointers, whatever its fields look like. Without it a brand comes in through the type
    // parameters, or through what a parameter's traits lead to. The parameters alone are what the answer rests on: a
    // parameter that says no has no brand in it, and where no parameter has one, no field can. (An attribute below the
    // derive may change the fields afterwards, so what they look like here proves nothing.) The fields are asked as well, in
    // case a `Trace` by hand says no too easily. A field that contains the type itself cannot be asked (the answer would
    // depend on itself): it counts as a yes, as does one whose tokens do not tell. One that is skipped is `'static`.
    let needs_trace: Vec<Tokens> = if lifetimes.have_brand() {
        vec![quote!(true)]
    } else if branded_parameters.is_empty() {
        Vec::new()
    } else {
        let of_field = |Field { ty, .. }: &Field<'_>| {
            if may_contain_itself(ty, name) {
                quote!(true)
            } else {
                quote_spanned!(place_of(ty)=> <#ty as ::linchpin::Trace>::NEEDS_TRACE)
            }
        };
        let of_parameter = |parameter: &&Ident| quote!(<#parameter as ::linchpin::Trace>::NEEDS_TRACE);
        let fields = shapes.iter().flat_map(|shape| &shape.fields).filter(|field| !field.is_skipped);
        branded_parameters.iter().map(of_parameter).chain(fields.map(of_field)).collect()
    };
    let tracer = binding("tracer");
    let inspector = binding("inspector");
    let body = for_each_traced(&shapes, &quote!(trace), &tracer);
    let inspection = for_each_traced(&shapes, &quote!(inspect), &inspector);
    let owned_bytes = owned_bytes(&shapes);
    let owns_memory = shapes.iter().flat_map(|shape| &shape.fields).filter(|field| !field.is_skipped).map(|field| {
        let ty = field.ty;
        quote_spanned!(place_of(ty)=> <#ty as ::linchpin::Trace>::OWNS_MEMORY)
    });
    let skipped_are_static = check_skipped(&shapes, &tracer);
    let may_hold_pointers = lifetimes.have_brand() || !branded_parameters.is_empty();
    let no_drop = may_hold_pointers.then(|| {
        quote! {
            #[automatically_derived]
            impl #impl_generics ::linchpin::MustNotImplementDrop for #name #own #where_clause {
                type Dropper = ();
            }
        }
    });
    // The trait above is found by its name, which a crate can give to one of its own. The method cannot be replaced: it is the
    // tracer's own, and the tracer's type is what `Trace` says.
    let no_drop_indeed = may_hold_pointers.then(|| quote!(#tracer.check_drop::<Self>();));
    Ok(quote! {
        // SAFETY: every field is traced, or shown to be `'static`; `Branded` replaces the brand and the brands within the type
        // parameters, and nothing else; a type that may hold pointers has no `Drop` of its own.
        #[automatically_derived]
        unsafe impl #impl_generics ::linchpin::Trace for #name #own #where_clause {
            type Branded<'__linchpin> = #name #branded;
            const NEEDS_TRACE: ::core::primitive::bool = false #(|| #needs_trace)*;
            const OWNS_MEMORY: ::core::primitive::bool = false #(|| #owns_memory)*;
            #[inline]
            fn trace(&self, #tracer: &mut ::linchpin::Tracer<'_>) {
                #no_drop_indeed
                #skipped_are_static
                #body
            }
            fn inspect(&self, #inspector: &mut ::linchpin::Inspector<'_>) {
                #inspection
            }
            #owned_bytes
        }
        #no_drop
    })
}

/// The type's own arguments.
fn own_arguments(generics: &Generics) -> Tokens {
    arguments(generics, |lifetime| quote!(#lifetime), |parameter| quote!(#parameter))
}

/// The type's arguments under the brand `'__linchpin`.
fn branded_arguments(generics: &Generics, lifetimes: &Lifetimes, branded_parameters: &[&Ident]) -> Tokens {
    let of_lifetime =
        |lifetime: &Lifetime| if lifetimes.is_brand(lifetime) { quote!('__linchpin) } else { quote!(#lifetime) };
    let of_type = |parameter: &Ident| {
        if branded_parameters.contains(&parameter) {
            quote!(<#parameter as ::linchpin::Trace>::Branded<'__linchpin>)
        } else {
            quote!(#parameter)
        }
    };
    arguments(generics, of_lifetime, of_type)
}

fn arguments(
    generics: &Generics,
    of_lifetime: impl Fn(&Lifetime) -> Tokens,
    of_type: impl Fn(&Ident) -> Tokens,
) -> Tokens {
    let arguments = generics.params.iter().map(|parameter| match parameter {
        GenericParam::Lifetime(parameter) => of_lifetime(&parameter.lifetime),
        GenericParam::Type(parameter) => of_type(&parameter.ident),
        // In braces: a type of the same name would be taken for what is meant.
        GenericParam::Const(parameter) => {
            let name = &parameter.ident;
            quote!({ #name })
        }
    });
    quote!(<#(#arguments),*>)
}
