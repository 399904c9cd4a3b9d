// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {Certificates} from "./Certificates.sol";
import {Epochs} from "./Epochs.sol";
import {Signers} from "./Signers.sol";

/// @title Data availability
/// @notice Signers, epochs and certificates in one contract, so that a certificate reads keys without a call. Behind a proxy, as codes and curves will
/// change; it holds no money, and no exit depends on it: stake leaves `Bonds` whatever happens here.
contract DataAvailability is Certificates, UUPSUpgradeable {
    /// @dev An implementation with another length or time has another `bondDelay`: signers then bond anew, as another bond counts.
    /// @param bonds holds the stake of signers
    /// @param randomness gives the seeds of epochs
    /// @param challenges may take the stake: the availability challenges
    /// @param epochLength_ seconds
    /// @param challengeTime seconds after a certificate in which a challenge of it may still be open: retention and time to answer
    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor(
        address bonds,
        address randomness,
        address challenges,
        uint64 epochLength_,
        uint64 challengeTime
    )
        // Stake asked back right after it was read for an epoch must stay until the last certificate of that epoch is past challenging.
        Signers(bonds, challenges, uint64(BUILD_TIME + CERTIFIABLE_EPOCHS * epochLength_ + challengeTime))
        Epochs(randomness, epochLength_)
    {
        _disableInitializers();
    }

    /// @notice To be called in the deployment transaction of the proxy.
    /// @param authority the AccessManager
    /// @param minStake_ wei that a signer must have bonded
    /// @param minSigners_ signers that an epoch needs
    function initialize(address authority, uint96 minStake_, uint32 minSigners_) external initializer {
        __AccessManaged_init(authority);
        __Signers_init(minStake_);
        __Epochs_init(minSigners_);
    }

    function _authorizeUpgrade(address) internal override restricted {}
}
