//! Who asks for what a board shows: a person who may see the device, the device with its token, or an old board without one.

use crate::devices::cms::{self, Admitted};
use crate::devices::{self, Device};
use crate::error::ApiResult;
use crate::http::Peer;
use crate::identity::{Caller, Identified, Principal};
use crate::{ApiError, AppState};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use espalier_model::Action;

/// What a request shows of its sender.
pub struct Who {
    identified: Identified,
    peer: Peer,
    /// The request's headers.
    pub headers: HeaderMap,
}

impl Who {
    /// The same from the parts of a request.
    pub fn of(parts: &Parts, app: &AppState) -> Self {
        let identified = parts.extensions.get::<Identified>().cloned();
        Self {
            identified: identified.unwrap_or(Identified::Nobody),
            peer: Peer::of(
                &parts.extensions,
                &parts.headers,
                &app.config.trusted_proxies,
            ),
            headers: parts.headers.clone(),
        }
    }

    /// The device that `id` names, for whoever may do `action` with it.
    ///
    /// # Errors
    /// 401, 403 and 404 as everywhere.
    pub async fn device(&self, app: &AppState, id: &str, action: Action) -> ApiResult<Admitted> {
        let Identified::Known(Principal::Account(caller)) = &self.identified else {
            let admitted = cms::admit(app, id, self.peer, &self.headers, &self.identified).await?;
            if let Admitted::Device(device) = &admitted {
                devices::seen(app, device);
            }
            return Ok(admitted);
        };
        let principal = Principal::Account(caller.clone());
        let device = cms::find_for(app, &principal, id, action)?;
        Ok(Admitted::Device(device))
    }

    /// The same where values are shown: a person must be permitted to read telemetry, too.
    ///
    /// # Errors
    /// As [`Who::device`].
    pub async fn watcher(&self, app: &AppState, id: &str) -> ApiResult<Admitted> {
        let admitted = self.device(app, id, Action::Read).await?;
        if let (Admitted::Device(device), Identified::Known(principal)) =
            (&admitted, &self.identified)
        {
            devices::require_telemetry(app, principal, &device.oid.to_string(), Action::Read)?;
        }
        Ok(admitted)
    }

    /// The person who asks, when it is one.
    pub fn person(&self) -> Option<&Caller> {
        match &self.identified {
            Identified::Known(Principal::Account(caller)) => Some(caller),
            _ => None,
        }
    }

    /// Whether the request speaks for this device.
    pub fn speaks_for(&self, app: &AppState, device: &Device) -> bool {
        match &self.identified {
            Identified::Known(Principal::Device(own)) => own.id == device.id,
            Identified::Known(Principal::Account(_)) | Identified::Unknown => false,
            Identified::Nobody => cms::is_from(app, device, self.peer, &self.headers),
        }
    }

    /// What is said to somebody who may not have a thing: to strangers that they are strangers, to others that it does not exist.
    pub fn refusal(&self, missing: ApiError) -> ApiError {
        match self.identified {
            Identified::Known(_) => missing,
            _ => ApiError::unauthorized("Not authenticated; send `Authorization: Bearer <token>`."),
        }
    }
}

impl FromRequestParts<AppState> for Who {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(
        parts: &mut Parts,
        app: &AppState,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts, app))
    }
}
