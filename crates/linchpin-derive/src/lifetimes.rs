//! Which of a type's lifetimes are the heap's, and which are `'static`: there can be no others.

use syn::ext::IdentExt;
use syn::{Error, Generics, Ident, Lifetime, Type, TypeParam, TypeParamBound, WherePredicate};

/// What is known of a type's lifetimes from their bounds.
pub(crate) struct Lifetimes {
    /// `'gc`, and what is bound to be the same.
    brands: Vec<Ident>,
    /// What is bound to be `'static`.
    statics: Vec<Ident>,
}

impl Lifetimes {
    /// Sorts the lifetimes; one that is neither is an error, as a value may outlive whatever it stands for.
    pub(crate) fn of(generics: &Generics) -> Result<Self, Error> {
        let outlives = outlives_of(generics);
        let (gc, eternal) = (name("gc"), name("static"));
        let reaches = |from: &Ident, to: &Ident| closure(from, &outlives).contains(to);
        let mut lifetimes = Self { brands: Vec::new(), statics: Vec::new() };
        let has_gc = generics.lifetimes().any(|parameter| name_of(&parameter.lifetime) == gc);
        for parameter in generics.lifetimes() {
            let lifetime = &parameter.lifetime;
            let name = name_of(lifetime);
            let is_brand = name == gc || (reaches(&name, &gc) && reaches(&gc, &name));
            let is_static = reaches(&name, &eternal);
            match (is_brand, is_static) {
                (true, false) => lifetimes.brands.push(name),
                (false, true) => lifetimes.statics.push(name),
                (true, true) => {
                    return Err(Error::new_spanned(
                        lifetime,
                        "this is the heap's lifetime, which is never `'static`: remove the bound that says so",
                    ));
                }
                (false, false) if has_gc => {
                    let message = format!(
                        "an object in a linchpin heap may outlive every borrow, so beside the heap's lifetime, `'gc`, all others \
                         must be `'static`: bound this one (`{lifetime}: 'static`), or own what it stands for, or keep that in the \
                         heap (`Gc<'gc, _>`). If it is the heap's lifetime by another name, say so (`where {lifetime}: 'gc, \
                         'gc: {lifetime}`)"
                    );
                    return Err(Error::new_spanned(lifetime, message));
                }
                (false, false) => {
                    let message = format!(
                        "the lifetime of the heap must be named `'gc`. If this is another one, bound it (`{lifetime}: 'static`): an \
                         object in a linchpin heap may outlive every borrow"
                    );
                    return Err(Error::new_spanned(lifetime, message));
                }
            }
        }
        Ok(lifetimes)
    }

    /// Whether the type has a brand of its own.
    pub(crate) fn have_brand(&self) -> bool {
        !self.brands.is_empty()
    }

    /// Whether a lifetime is the heap's.
    pub(crate) fn is_brand(&self, lifetime: &Lifetime) -> bool {
        self.brands.contains(&name_of(lifetime))
    }

    fn is_static(&self, lifetime: &Lifetime) -> bool {
        let name = name_of(lifetime);
        name == "static" || self.statics.contains(&name)
    }

    /// Whether a type parameter is bound to be `'static`, in place or in the where clause. It has no brand then.
    pub(crate) fn make_static(&self, parameter: &TypeParam, generics: &Generics) -> bool {
        let is_static =
            |bound: &TypeParamBound| matches!(bound, TypeParamBound::Lifetime(lifetime) if self.is_static(lifetime));
        let is_of_parameter = |ty: &Type| {
            matches!(ty, Type::Path(path) if path.qself.is_none()
                && path.path.get_ident().is_some_and(|name| name.unraw() == parameter.ident.unraw()))
        };
        let mut clauses = generics.where_clause.iter().flat_map(|clause| &clause.predicates);
        parameter.bounds.iter().any(is_static)
            || clauses.any(|predicate| match predicate {
                WherePredicate::Type(predicate) => {
                    is_of_parameter(&predicate.bounded_ty) && predicate.bounds.iter().any(is_static)
                }
                _ => false,
            })
    }
}

fn name(name: &str) -> Ident {
    Ident::new(name, proc_macro2::Span::call_site())
}

fn name_of(lifetime: &Lifetime) -> Ident {
    lifetime.ident.unraw()
}

/// Which lifetime is bound to outlive which.
fn outlives_of(generics: &Generics) -> Vec<(Ident, Ident)> {
    let in_place = generics.lifetimes().map(|parameter| (&parameter.lifetime, &parameter.bounds));
    let predicates = generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    let in_clause = predicates.filter_map(|predicate| match predicate {
        WherePredicate::Lifetime(predicate) => Some((&predicate.lifetime, &predicate.bounds)),
        _ => None,
    });
    in_place
        .chain(in_clause)
        .flat_map(|(long, shorts)| shorts.iter().map(|short| (name_of(long), name_of(short))))
        .collect()
}

/// All that a lifetime outlives by what is given.
fn closure(from: &Ident, outlives: &[(Ident, Ident)]) -> Vec<Ident> {
    let mut reached = vec![from.clone()];
    let mut next = 0;
    while let Some(long) = reached.get(next).cloned() {
        next += 1;
        for (_, short) in outlives.iter().filter(|(from, _)| *from == long) {
            if !reached.contains(short) {
                reached.push(short.clone());
            }
        }
    }
    reached
}
