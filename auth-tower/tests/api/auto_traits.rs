//! What a host may share between threads, clone for each connection, and keep: a change here is
//! breaking.

use auth_tower::mount::Mount;
use auth_tower::require::{RequireRole, RequireSuperuser};
use auth_tower::verify::Verify;
use auth_tower::{
    ApiBody, ApiError, AuthApi, IdentifyLayer, MountLayer, RequireRoleLayer, RequireSuperuserLayer,
    ResponseBody, VerifyLayer,
};

const fn is_cloned<T: Clone + Send + Sync + 'static>() {}

const fn is_shared<T: Send + Sync + 'static>() {}

const _: () = {
    is_cloned::<AuthApi>();
    is_cloned::<IdentifyLayer>();
    is_cloned::<MountLayer>();
    is_cloned::<VerifyLayer>();
    is_cloned::<RequireRoleLayer>();
    is_cloned::<RequireSuperuserLayer>();
    is_cloned::<Mount<()>>();
    is_cloned::<Verify<()>>();
    is_cloned::<RequireRole<()>>();
    is_cloned::<RequireSuperuser<()>>();
    #[cfg(feature = "cors")]
    is_cloned::<auth_tower::CorsLayer>();
    #[cfg(feature = "cors")]
    is_cloned::<auth_tower::cors::Cors<()>>();
    #[cfg(feature = "drain")]
    is_cloned::<auth_tower::DrainLayer>();
    #[cfg(feature = "drain")]
    is_cloned::<auth_tower::drain::Drain<()>>();
    is_shared::<ApiBody>();
    is_shared::<ResponseBody<()>>();
    is_shared::<ApiError>();
};
