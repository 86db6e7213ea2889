//! What a type asks of its parameters, asked of their branded forms as well.

use quote::quote;
use syn::ext::IdentExt;
use syn::visit_mut::VisitMut;
use syn::{
    AngleBracketedGenericArguments, Error, GenericArgument, Generics, Ident, Lifetime, Path, PathArguments,
    PathSegment, PredicateType, QSelf, TraitBoundModifier, Type, TypeParamBound, TypePath, WherePredicate, parse_quote,
};

use crate::lifetimes::Lifetimes;

/// What the type asks of its parameters, asked of their branded forms too: `Branded` must be well-formed. `branded` are the parameters
/// that have another form.
pub(crate) fn branded_predicates(
    generics: &Generics,
    lifetimes: &Lifetimes,
    branded: &[&Ident],
) -> Result<Vec<WherePredicate>, Error> {
    let mut predicates: Vec<PredicateType> = Vec::new();
    for parameter in generics.type_params() {
        let name = &parameter.ident;
        let bounds = parameter.bounds.clone();
        predicates.push(PredicateType {
            lifetimes: None,
            bounded_ty: parse_quote!(#name),
            colon_token: Default::default(),
            bounds,
        });
    }
    if let Some(clause) = &generics.where_clause {
        predicates.extend(clause.predicates.iter().filter_map(|predicate| match predicate {
            WherePredicate::Type(predicate) if predicate.lifetimes.is_none() => Some(predicate.clone()),
            _ => None,
        }));
    }
    for predicate in &mut predicates {
        // `T: 'gc` has no counterpart to ask for: a branded type outlives its brand by definition.
        predicate.bounds = std::mem::take(&mut predicate.bounds)
            .into_iter()
            .filter(|bound| matches!(bound, TypeParamBound::Trait(bound) if matches!(bound.modifier, TraitBoundModifier::None)))
            .collect();
    }
    predicates.retain(|predicate| !predicate.bounds.is_empty());
    let parameters = branded.iter().map(|name| Parameter::of(name, &predicates)).collect();
    let mut rebrand = Rebrand { lifetimes, parameters, error: None };
    for predicate in &mut predicates {
        rebrand.visit_predicate_type_mut(predicate);
    }
    if let Some(error) = rebrand.error {
        return Err(error);
    }
    Ok(predicates
        .into_iter()
        .map(|PredicateType { bounded_ty, bounds, .. }| parse_quote!(for<'__linchpin> #bounded_ty: #bounds))
        .collect())
}

/// Traits without associated types, which need not be asked for one.
const WITHOUT_TYPES: [&str; 13] = [
    "Trace",
    "Send",
    "Sync",
    "Copy",
    "Clone",
    "Debug",
    "Default",
    "Eq",
    "PartialEq",
    "Ord",
    "PartialOrd",
    "Hash",
    "Unpin",
];

/// A type parameter, and the traits it is bound by that may have associated types.
struct Parameter {
    name: Ident,
    traits: Vec<Path>,
}

impl Parameter {
    fn of(name: &Ident, predicates: &[PredicateType]) -> Self {
        let is_bound =
            |predicate: &&PredicateType| matches!(&predicate.bounded_ty, Type::Path(path) if path.path.is_ident(name));
        let mut traits: Vec<Path> = Vec::new();
        for bound in predicates.iter().filter(is_bound).flat_map(|predicate| &predicate.bounds) {
            let TypeParamBound::Trait(bound) = bound else { continue };
            let path = &bound.path;
            let is_known = path.segments.last().is_none_or(|last| WITHOUT_TYPES.iter().any(|name| last.ident == name));
            if !is_known && !traits.iter().any(|known| quote!(#known).to_string() == quote!(#path).to_string()) {
                traits.push(path.clone());
            }
        }
        Self { name: name.clone(), traits }
    }
}

/// Replaces the brand and the type parameters by their forms under the brand `'__linchpin`.
struct Rebrand<'a> {
    lifetimes: &'a Lifetimes,
    parameters: Vec<Parameter>,
    error: Option<Error>,
}

impl Rebrand<'_> {
    fn parameter(&self, name: &Ident) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name.unraw() == name.unraw())
    }

    /// `T::Item`, whose trait the compiler finds among the bounds of `T`. It does not look for one where the branded form stands
    /// in place of `T`, so the trait must be named.
    fn associated(&mut self, whole: &TypePath, name: &Ident, item: &PathSegment) -> Type {
        let traits = self.parameter(name).map_or(&[][..], |parameter| &parameter.traits);
        let [only] = traits else {
            self.error.get_or_insert_with(|| {
                let item = &item.ident;
                let message = format!(
                    "which trait's `{item}` this is cannot be told from here: write `<{name} as TheTrait>::{item}`, with the \
                     trait that has it"
                );
                Error::new_spanned(whole, message)
            });
            return Type::Path(whole.clone());
        };
        let mut of_trait = only.clone();
        without_constraints(&mut of_trait);
        self.visit_path_mut(&mut of_trait);
        let mut item = item.clone();
        self.visit_path_segment_mut(&mut item);
        parse_quote!(<<#name as ::linchpin::Trace>::Branded<'__linchpin> as #of_trait>::#item)
    }
}

impl VisitMut for Rebrand<'_> {
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if self.lifetimes.is_brand(lifetime) {
            *lifetime = parse_quote!('__linchpin);
        }
    }

    fn visit_type_mut(&mut self, node: &mut Type) {
        if let Type::Path(path) = node
            && let Some((name, item)) = first_of(path)
            && self.parameter(name).is_some()
        {
            *node = match item {
                None => parse_quote!(<#name as ::linchpin::Trace>::Branded<'__linchpin>),
                Some(item) => self.associated(path, name, item),
            };
            return;
        }
        syn::visit_mut::visit_type_mut(self, node);
    }
}

/// `T` and `Item` of `T::Item` or `<T>::Item`; `T` and nothing of `T`.
fn first_of(path: &TypePath) -> Option<(&Ident, Option<&PathSegment>)> {
    let mut segments = path.path.segments.iter();
    match &path.qself {
        None => Some((&segments.next()?.ident, segments.next())),
        Some(QSelf { position: 0, ty, .. }) => match &**ty {
            Type::Path(first) => Some((first.path.get_ident()?, segments.next())),
            _ => None,
        },
        Some(_) => None,
    }
}

/// Takes `Item = u8` out of `Iterator<Item = u8>`: where a trait is named for what it has, there is no place for it.
fn without_constraints(path: &mut Path) {
    let Some(PathSegment { arguments, .. }) = path.segments.last_mut() else { return };
    if let PathArguments::AngleBracketed(AngleBracketedGenericArguments { args, .. }) = arguments {
        *args = std::mem::take(args)
            .into_iter()
            .filter(|argument| {
                matches!(argument, GenericArgument::Lifetime(_) | GenericArgument::Type(_) | GenericArgument::Const(_))
            })
            .collect();
    }
}
