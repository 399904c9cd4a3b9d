// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IInferenceKeys, KeyLimit} from "./IInferenceKeys.sol";

/// @title API keys of users
/// @notice Independent of sub-accounts, so that what was revoked stays revoked when one is closed and opened again.
abstract contract InferenceKeys is IInferenceKeys {
    struct Revocations {
        uint256 generation;
        /// One bit for each id.
        uint256 bitmap;
    }

    /// @custom:storage-location erc7201:perigee.storage.InferenceKeys
    struct InferenceKeysStorage {
        mapping(address user => mapping(address provider => Revocations)) revocations;
        mapping(address user => mapping(address provider => mapping(uint8 tokenId => KeyLimit))) limits;
    }

    /// @notice Models that a key can be limited to.
    uint256 private constant MAX_KEY_MODELS = 64;
    uint8 private constant SESSION = type(uint8).max;

    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.InferenceKeys"));

    /// @inheritdoc IInferenceKeys
    function revokeToken(address provider, uint8 tokenId) external {
        _revoke(_keysStorage().revocations[msg.sender][provider], tokenId);
        emit TokenRevoked(msg.sender, provider, tokenId);
    }

    /// @inheritdoc IInferenceKeys
    function revokeTokens(address provider, uint8[] calldata tokenIds) external {
        Revocations storage revocations = _keysStorage().revocations[msg.sender][provider];
        for (uint256 i = 0; i < tokenIds.length; ++i) _revoke(revocations, tokenIds[i]);
        emit TokensRevoked(msg.sender, provider, tokenIds);
    }

    function _revoke(Revocations storage revocations, uint8 tokenId) private {
        require(tokenId != SESSION, InvalidTokenId(tokenId));
        revocations.bitmap |= 1 << tokenId;
    }

    /// @inheritdoc IInferenceKeys
    function revokeAllTokens(address provider) external {
        Revocations storage revocations = _keysStorage().revocations[msg.sender][provider];
        uint256 generation = ++revocations.generation;
        revocations.bitmap = 0;
        emit AllTokensRevoked(msg.sender, provider, generation);
    }

    /// @inheritdoc IInferenceKeys
    function isTokenRevoked(address user, address provider, uint8 tokenId) external view returns (bool) {
        return (_keysStorage().revocations[user][provider].bitmap >> tokenId) & 1 == 1;
    }

    /// @inheritdoc IInferenceKeys
    function setKeyLimit(
        address provider,
        uint8 tokenId,
        uint128 cap,
        uint48 expiresAt,
        bytes32[] calldata modelHashes
    ) external {
        require(tokenId != SESSION, InvalidTokenId(tokenId));
        require(modelHashes.length <= MAX_KEY_MODELS, TooManyModels(modelHashes.length, MAX_KEY_MODELS));
        _keysStorage().limits[msg.sender][provider][tokenId] = KeyLimit({
            cap: cap,
            expiresAt: expiresAt,
            since: uint48(block.timestamp),
            modelsHash: modelHashes.length == 0 ? bytes32(0) : keccak256(abi.encodePacked(modelHashes))
        });
        emit KeyLimitSet(msg.sender, provider, tokenId, cap, expiresAt, modelHashes);
    }

    /// @inheritdoc IInferenceKeys
    function keyLimit(address user, address provider, uint8 tokenId) external view returns (KeyLimit memory) {
        return _keysStorage().limits[user][provider][tokenId];
    }

    function _revocationsOf(address user, address provider) internal view returns (uint256 generation, uint256 bitmap) {
        Revocations memory revocations = _keysStorage().revocations[user][provider];
        return (revocations.generation, revocations.bitmap);
    }

    function _keysStorage() private pure returns (InferenceKeysStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
