// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Bytes} from "@openzeppelin/contracts/utils/Bytes.sol";
import {DataContract} from "../lib/DataContract.sol";
import {Uuid} from "../lib/Uuid.sol";
import {Deliverable, DeliverableState, DeliverableTerms, IFineTuningServing} from "./IFineTuningServing.sol";

/// @notice Three slots; the fourth is written only where the user was late.
// solhint-disable-next-line gas-struct-packing
struct StoredDeliverable {
    bytes16 id;
    uint40 deliveredAt;
    uint88 fee;
    bytes32 root;
    /// Until it is settled in full, its signer; from then on the contract whose code holds the signer (20 bytes) and the secret.
    address signerOrData;
    /// Until when the user can acknowledge alone, or the provider hand over what is owed.
    uint40 dueBy;
    DeliverableState state;
    /// Meant only while something is, or could still be, paid late.
    uint88 penalty;
}

/// @notice The last deliverables of a provider to a user.
struct Ring {
    /// Deliverables so far, those that made place included: number n is at n modulo the places.
    uint40 count;
    uint88 feeCeiling;
    /// The last six bits of the id at each place: only where they match is it read.
    uint128 tags;
    StoredDeliverable[20] places;
}

using DeliverableRings for Ring global;
using DeliverableRings for StoredDeliverable global;

/// @title Deliverables of one provider to one user
/// @dev An index of ids would cost a slot for each: the tags, in a slot that is read anyway, do nearly as well.
library DeliverableRings {
    uint256 internal constant PLACES = 20;
    uint256 private constant SIGNER_LENGTH = 20;
    uint256 private constant TAG_BITS = 6;
    uint256 private constant TAG_MASK = 63;

    /// @dev A place for the deliverable `id`, with what was there before. Reverts PreviousDeliverableNotAcknowledged, DeliverableAlreadyExists,
    /// CannotEvictUnsettledDeliverable.
    function place(Ring storage ring, bytes16 id) internal returns (StoredDeliverable storage free, bool evicts) {
        uint256 count = ring.count;
        evicts = count >= PLACES;
        free = ring.places[count % PLACES];
        if (count != 0) {
            StoredDeliverable storage newest = ring.places[(count - 1) % PLACES];
            require(
                newest.state != DeliverableState.Delivered,
                IFineTuningServing.PreviousDeliverableNotAcknowledged(Uuid.format(newest.id))
            );
            (, bool isThere) = _look(ring, id);
            require(!isThere, IFineTuningServing.DeliverableAlreadyExists(Uuid.format(id)));
        }
        if (evicts) {
            require(isSettled(free.state), IFineTuningServing.CannotEvictUnsettledDeliverable(Uuid.format(free.id)));
        }
        uint256 shift = (count % PLACES) * TAG_BITS;
        uint256 tags = ring.tags & ~(TAG_MASK << shift);
        (ring.count, ring.tags) = (uint40(count + 1), uint128(tags | (_tag(id) << shift)));
    }

    function _tag(bytes16 id) private pure returns (uint256) {
        return uint128(id) & TAG_MASK;
    }

    function _look(Ring storage ring, bytes16 id) private view returns (StoredDeliverable storage found, bool isThere) {
        (uint256 tags, uint256 tag) = (ring.tags, _tag(id));
        (uint256 oldest, uint256 end) = span(ring);
        found = ring.places[0];
        // The newest is the one in question nearly always.
        for (uint256 i = end; i > oldest; --i) {
            uint256 position = (i - 1) % PLACES;
            if ((tags >> (position * TAG_BITS)) & TAG_MASK != tag) continue;
            found = ring.places[position];
            if (found.id == id) return (found, true);
        }
    }

    /// @dev Reverts DeliverableNotExists.
    function find(Ring storage ring, string calldata text) internal view returns (StoredDeliverable storage found) {
        bool isThere;
        (found, isThere) = _look(ring, Uuid.parse(text));
        require(isThere, IFineTuningServing.DeliverableNotExists(text));
    }

    /// @dev Numbers of the deliverables that are kept: from the first up to, but without, the second.
    function span(Ring storage ring) internal view returns (uint256 oldest, uint256 end) {
        end = ring.count;
        oldest = end > PLACES ? end - PLACES : 0;
    }

    /// @dev All that are kept, in the shape of the public SDK, the oldest first.
    function all(Ring storage ring) internal view returns (Deliverable[] memory list) {
        (uint256 oldest, uint256 end) = span(ring);
        list = new Deliverable[](end - oldest);
        for (uint256 i = 0; i < list.length; ++i) list[i] = show(ring.places[(oldest + i) % PLACES]);
    }

    /// @dev In the shape of the public SDK.
    function show(StoredDeliverable storage stored) internal view returns (Deliverable memory) {
        DeliverableState state = stored.state;
        return
            Deliverable({
                id: Uuid.format(stored.id),
                modelRootHash: abi.encodePacked(stored.root),
                encryptedSecret: state == DeliverableState.Settled
                    ? Bytes.slice(DataContract.read(stored.signerOrData), SIGNER_LENGTH)
                    : bytes(""),
                acknowledged: isAcknowledged(state),
                timestamp: stored.deliveredAt,
                settled: isSettled(state)
            });
    }

    function terms(StoredDeliverable storage stored) internal view returns (DeliverableTerms memory shown) {
        DeliverableState state = stored.state;
        (shown.state, shown.fee) = (state, stored.fee);
        shown.signer = stored.signerOrData;
        if (state == DeliverableState.Delivered) shown.acknowledgeBy = stored.dueBy;
        if (state == DeliverableState.Settled) {
            shown.paid = shown.fee;
            shown.signer = address(bytes20(DataContract.read(shown.signer)));
        }
        if (state == DeliverableState.Penalised || state == DeliverableState.Owed) shown.paid = stored.penalty;
        if (state == DeliverableState.Owed) (shown.held, shown.handOverBy) = (rest(stored), stored.dueBy);
    }

    /// @dev Puts the secret beside the signer.
    function settle(StoredDeliverable storage stored, bytes calldata secret) internal {
        stored.signerOrData = DataContract.write(abi.encodePacked(stored.signerOrData, secret));
        stored.state = DeliverableState.Settled;
    }

    /// @dev Wei of the fee that were not paid in time. While the secret is owed, that is what is held for it.
    function rest(StoredDeliverable storage stored) internal view returns (uint256) {
        return stored.fee - stored.penalty;
    }

    function isAcknowledged(DeliverableState state) internal pure returns (bool) {
        return
            state == DeliverableState.Acknowledged ||
            state == DeliverableState.Owed ||
            state == DeliverableState.Settled;
    }

    function isSettled(DeliverableState state) internal pure returns (bool) {
        return
            state == DeliverableState.Penalised ||
            state == DeliverableState.Settled ||
            state == DeliverableState.Abandoned;
    }
}
